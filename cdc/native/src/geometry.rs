//! MySQL's geometry (SRID and WKB) to `{"srid":4326,"wkt":"POINT (3 2)"}`. Axes stand as they are stored: x before y.

use crate::cursor::Cursor;
use crate::fault::{Fault, Result};
use crate::json;

const NAMES: [&str; 8] =
    ["", "POINT", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON", "GEOMETRYCOLLECTION"];
const DEEPEST: usize = 200;
const PLAIN_DIGITS: i32 = 15; // beyond these MySQL writes an exponent
const PLAIN_WIDTH: usize = 25;

pub fn write(out: &mut Vec<u8>, raw: &[u8]) -> Result<()> {
    let mut cursor = Cursor::new(raw);
    out.extend_from_slice(b"{\"srid\":");
    json::unsigned(out, u64::from(cursor.u32()?));
    out.extend_from_slice(b",\"wkt\":\"");
    Wkb { cursor, little: true, out }.geometry(0)?;
    out.extend_from_slice(b"\"}");
    Ok(())
}

struct Wkb<'a, 'b> {
    cursor: Cursor<'a>,
    little: bool,
    out: &'b mut Vec<u8>,
}

impl Wkb<'_, '_> {
    fn geometry(&mut self, depth: usize) -> Result<()> {
        let kind = self.head()?;
        match NAMES.get(kind as usize) {
            Some(name) if kind > 0 => self.out.extend_from_slice(name.as_bytes()),
            _ => return Fault::undecodable(format!("a geometry has the unknown type {kind}")),
        }
        self.out.push(b' ');
        self.body(kind, depth)
    }

    fn head(&mut self) -> Result<u32> {
        self.little = self.cursor.u8()? != 0;
        self.number()
    }

    fn body(&mut self, kind: u32, depth: usize) -> Result<()> {
        if depth > DEEPEST {
            return Fault::undecodable("a geometry is nested too deeply");
        }
        match kind {
            1 => {
                self.out.push(b'(');
                self.point()?;
                self.out.push(b')');
                Ok(())
            }
            2 => self.points(),
            3 => self.list(Self::points),
            4..=6 => self.list(|wkb| {
                // A point, line or polygon of a MULTI… carries its own head, which the text leaves out.
                let kind = wkb.head()?;
                wkb.body(kind, depth + 1)
            }),
            7 => self.list(|wkb| wkb.geometry(depth + 1)),
            _ => Fault::undecodable(format!("a geometry has the unknown type {kind}")),
        }
    }

    fn number(&mut self) -> Result<u32> {
        let raw = self.cursor.array()?;
        Ok(if self.little { u32::from_le_bytes(raw) } else { u32::from_be_bytes(raw) })
    }

    fn point(&mut self) -> Result<()> {
        self.coordinate()?;
        self.out.push(b' ');
        self.coordinate()
    }

    fn coordinate(&mut self) -> Result<()> {
        let raw = self.cursor.array()?;
        let value = if self.little { f64::from_le_bytes(raw) } else { f64::from_be_bytes(raw) };
        if !value.is_finite() {
            return Fault::undecodable("a coordinate is not finite");
        }
        coordinate(self.out, value);
        Ok(())
    }

    fn points(&mut self) -> Result<()> {
        self.list(Self::point)
    }

    fn list(&mut self, mut read: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        let count = self.number()?;
        if count == 0 {
            self.out.extend_from_slice(b"EMPTY");
            return Ok(());
        }
        self.out.push(b'(');
        for number in 0..count {
            if number > 0 {
                self.out.push(b',');
            }
            read(self)?;
        }
        self.out.push(b')');
        Ok(())
    }
}

/// The shortest digits that read back, laid out as `my_gcvt` in MySQL's `strings/dtoa.cc` does.
fn coordinate(out: &mut Vec<u8>, value: f64) {
    let text = format!("{:e}", value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_end_matches('0');
    let point = exponent.parse::<i32>().unwrap_or_default() + 1;
    let start = out.len();
    if value.is_sign_negative() {
        out.push(b'-');
    }
    if digits.is_empty() {
        out.push(b'0');
    } else if point <= 0 {
        let zeros = "0".repeat(point.unsigned_abs() as usize);
        out.extend_from_slice(format!("0.{zeros}{digits}").as_bytes());
        if point <= -PLAIN_DIGITS || out.len() - start > PLAIN_WIDTH {
            out.truncate(start + usize::from(value.is_sign_negative()));
            scientific(out, digits, point);
        }
    } else if point > PLAIN_DIGITS && digits.len() <= point as usize {
        scientific(out, digits, point);
    } else {
        let (whole, rest) = digits.split_at(digits.len().min(point as usize));
        out.extend_from_slice(whole.as_bytes());
        out.resize(out.len() + point as usize - whole.len(), b'0');
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest.as_bytes());
        }
    }
}

fn scientific(out: &mut Vec<u8>, digits: &str, point: i32) {
    let (first, rest) = digits.split_at(1);
    let between = if rest.is_empty() { "" } else { "." };
    out.extend_from_slice(format!("{first}{between}{rest}e{}", point - 1).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_short() {
        let text = |value| {
            let mut out = Vec::new();
            coordinate(&mut out, value);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(3.0), "3");
        assert_eq!(text(-0.5), "-0.5");
        assert_eq!(text(1e22), "1e22");
        assert_eq!(text(1.5e-5), "0.000015");
        assert_eq!(text(1e14), "100000000000000");
        assert_eq!(text(1e15), "1e15");
        assert_eq!(text(123456.789), "123456.789");
        assert_eq!(text(1e-15), "0.000000000000001");
        assert_eq!(text(1e-16), "1e-16");
        assert_eq!(text(-0.0), "-0");
    }

    #[test]
    fn damage_is_an_error() {
        assert!(write(&mut Vec::new(), b"\0\0\0\0\x01\x02\0\0\0\xff\xff\xff\xff").is_err());
        assert!(write(&mut Vec::new(), b"\0\0\0\0\x01\x09\0\0\0").is_err());
        let nested: Vec<u8> = [0; 4].into_iter().chain(b"\x01\x07\0\0\0\x01\0\0\0".repeat(100_000)).collect();
        assert!(write(&mut Vec::new(), &nested).is_err());
    }
}
