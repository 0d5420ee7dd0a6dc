//! One column's values from a row image to JSON: what can be known from the layout is settled once.

use std::sync::Arc;

use crate::charset::Charset;
use crate::cursor::Cursor;
use crate::fault::{Fault, Result};
use crate::number::{self, Decimal};
use crate::protect::Protection;
use crate::temporal::{self, fraction_bytes};
use crate::{geometry, json, jsonb};

pub const UNDECODABLE: &str = "base64:";

/// `enum_field_types`: how a value is laid out in a row.
pub mod code {
    pub const JSON: u8 = 245;
}

/// A column as the table map tells it. `size`: bytes of a length prefix, an ENUM's index, a SET's bits.
#[derive(Debug, Clone, Default)]
pub struct ColumnSpec {
    pub name: String,
    pub code: u8,
    pub size: usize,
    pub unsigned: bool,
    pub length: usize,
    pub precision: usize,
    pub scale: usize,
    pub fsp: u8,
    pub charset: String,
    pub labels: Vec<String>,
    pub protection: Protection,
}

/// An ENUM's or SET's label as a JSON string. `good`: its bytes could be decoded.
#[derive(Debug)]
pub struct Label {
    json: Vec<u8>,
    good: bool,
}

#[derive(Debug)]
pub enum Reader {
    I8,
    U8,
    I16,
    U16,
    I24,
    U24,
    I32,
    U32,
    I64,
    U64,
    Float,
    Double,
    Decimal(Decimal),
    Bit(usize),
    Flag,
    Date,
    Year,
    Datetime(u8),
    Timestamp(u8),
    Time(u8),
    OldDatetime,
    OldTimestamp,
    OldTime,
    Enum(usize, Vec<Label>),
    Set(usize, Vec<Label>),
    Text(usize, Arc<Charset>),
    Binary(usize, usize), // prefix, and the length that trailing zeros are restored to
    Json(usize),
    Geometry(usize),
    Vector(usize),
}

impl Reader {
    /// `charset`: the column's, if it is text.
    pub fn compile(spec: &ColumnSpec, charset: Option<Arc<Charset>>) -> Result<Reader> {
        let sized = |most: usize| match spec.size {
            size if (1..=most).contains(&size) => Ok(size),
            size => Fault::undecodable(format!("column {} has a prefix of {size} bytes", spec.name)),
        };
        let fsp = if spec.fsp <= 6 { spec.fsp } else { return Fault::undecodable("more than six digits of a second") };
        Ok(match (spec.code, spec.unsigned) {
            (1, false) => Reader::I8,
            (1, true) => Reader::U8,
            (2, false) => Reader::I16,
            (2, true) => Reader::U16,
            (9, false) => Reader::I24,
            (9, true) => Reader::U24,
            (3, false) => Reader::I32,
            (3, true) => Reader::U32,
            (8, false) => Reader::I64,
            (8, true) => Reader::U64,
            (4, _) => Reader::Float,
            (5, _) => Reader::Double,
            (246, _) => Reader::Decimal(Decimal::new(spec.precision, spec.scale)?),
            (16, _) if spec.length == 1 => Reader::Flag,
            (16, _) if (1..=64).contains(&spec.length) => Reader::Bit(spec.length.div_ceil(8)),
            (10 | 14, _) => Reader::Date,
            (13, _) => Reader::Year,
            (18, _) => Reader::Datetime(fsp),
            (17, _) => Reader::Timestamp(fsp),
            (19, _) => Reader::Time(fsp),
            (12, _) => Reader::OldDatetime,
            (7, _) => Reader::OldTimestamp,
            (11, _) => Reader::OldTime,
            (247, _) => Reader::Enum(sized(2)?, labels(&spec.labels)),
            (248, _) => Reader::Set(sized(8)?, labels(&spec.labels)),
            (code::JSON, _) => Reader::Json(sized(4)?),
            (255, _) => Reader::Geometry(sized(4)?),
            (242, _) => Reader::Vector(sized(4)?),
            (15 | 249..=254, _) => match charset {
                Some(charset) => Reader::Text(sized(4)?, charset),
                None => Reader::Binary(sized(4)?, if spec.code == 254 { spec.length } else { 0 }),
            },
            (other, _) => return Fault::undecodable(format!("column {} has the unknown type {other}", spec.name)),
        })
    }

    /// The next value as JSON. False if text could not be decoded and was kept as base64.
    #[inline]
    pub fn read(&self, row: &mut Cursor, out: &mut Vec<u8>) -> Result<bool> {
        match self {
            Reader::I8 => json::signed(out, i64::from(row.u8()? as i8)),
            Reader::U8 => json::unsigned(out, u64::from(row.u8()?)),
            Reader::I16 => json::signed(out, i64::from(row.u16()? as i16)),
            Reader::U16 => json::unsigned(out, u64::from(row.u16()?)),
            Reader::I24 => json::signed(out, ((row.little(3)? << 40) as i64) >> 40),
            Reader::U24 => json::unsigned(out, row.little(3)?),
            Reader::I32 => json::signed(out, i64::from(row.u32()? as i32)),
            Reader::U32 => json::unsigned(out, u64::from(row.u32()?)),
            Reader::I64 => json::signed(out, row.u64()? as i64),
            Reader::U64 => json::unsigned(out, row.u64()?),
            Reader::Float => number::float32(out, f32::from_bits(row.u32()?)),
            Reader::Double => json::float(out, f64::from_bits(row.u64()?)),
            Reader::Decimal(layout) => {
                out.push(b'"');
                layout.text(out, row.take(layout.bytes())?)?;
                out.push(b'"');
            }
            Reader::Bit(bytes) => json::unsigned(out, row.big(*bytes)?),
            Reader::Flag => out.extend_from_slice(if row.u8()? == 1 { b"true" } else { b"false" }),
            Reader::Year => json::unsigned(
                out,
                match row.u8()? {
                    0 => 0,
                    years => 1900 + u64::from(years),
                },
            ),
            Reader::Text(prefix, charset) => {
                let length = row.little(*prefix)? as usize;
                let bytes = row.take(length)?;
                if !charset.write(out, bytes) {
                    out.push(b'"');
                    out.extend_from_slice(UNDECODABLE.as_bytes());
                    json::base64(out, bytes);
                    out.push(b'"');
                    return Ok(false);
                }
            }
            Reader::Enum(..) | Reader::Set(..) => return self.labelled(row, out),
            Reader::Binary(..) | Reader::Json(_) | Reader::Geometry(_) | Reader::Vector(_) => self.large(row, out)?,
            _ => self.temporal(row, out)?,
        }
        Ok(true)
    }

    /// Passes a value; gives its bytes, without the prefix of those that have one.
    pub fn raw<'a>(&self, row: &mut Cursor<'a>) -> Result<&'a [u8]> {
        let length = match self {
            Reader::I8 | Reader::U8 | Reader::Flag | Reader::Year => 1,
            Reader::I16 | Reader::U16 => 2,
            Reader::I24 | Reader::U24 | Reader::Date | Reader::OldTime => 3,
            Reader::I32 | Reader::U32 | Reader::Float | Reader::OldTimestamp => 4,
            Reader::I64 | Reader::U64 | Reader::Double | Reader::OldDatetime => 8,
            Reader::Decimal(layout) => layout.bytes(),
            Reader::Bit(bytes) => *bytes,
            Reader::Datetime(fsp) => 5 + fraction_bytes(*fsp),
            Reader::Timestamp(fsp) => 4 + fraction_bytes(*fsp),
            Reader::Time(fsp) => 3 + fraction_bytes(*fsp),
            Reader::Enum(size, _) | Reader::Set(size, _) => *size,
            Reader::Text(prefix, _)
            | Reader::Binary(prefix, _)
            | Reader::Json(prefix)
            | Reader::Geometry(prefix)
            | Reader::Vector(prefix) => row.little(*prefix)? as usize,
        };
        row.take(length)
    }

    fn temporal(&self, row: &mut Cursor, out: &mut Vec<u8>) -> Result<()> {
        out.push(b'"');
        match self {
            Reader::Date => temporal::date(out, row.little(3)?),
            Reader::Datetime(fsp) => temporal::datetime(out, row.big(5)?, row.big(fraction_bytes(*fsp))?, *fsp)?,
            Reader::Timestamp(fsp) => temporal::timestamp(out, row.big(4)?, row.big(fraction_bytes(*fsp))?, *fsp),
            Reader::Time(fsp) => temporal::time(out, row.big(3 + fraction_bytes(*fsp))?, *fsp),
            Reader::OldDatetime => temporal::old_datetime(out, row.u64()?)?,
            Reader::OldTimestamp => temporal::timestamp(out, row.little(4)?, 0, 0),
            _ => temporal::old_time(out, row.little(3)?),
        }
        out.push(b'"');
        Ok(())
    }

    fn labelled(&self, row: &mut Cursor, out: &mut Vec<u8>) -> Result<bool> {
        let (Reader::Enum(size, labels) | Reader::Set(size, labels)) = self else { return Ok(true) };
        let value = row.little(*size)?;
        if matches!(self, Reader::Enum(..)) {
            if value == 0 {
                out.extend_from_slice(b"\"\""); // the empty string that a refused value becomes
                return Ok(true);
            }
            let Some(label) = labels.get(value as usize - 1) else {
                return Fault::undecodable(format!("an ENUM has {} labels, and {value} is asked for", labels.len()));
            };
            out.extend_from_slice(&label.json);
            return Ok(label.good);
        }
        let mut good = true;
        out.push(b'[');
        for (number, label) in labels.iter().take(64).enumerate().filter(|(number, _)| value >> number & 1 == 1) {
            if value & ((1 << number) - 1) != 0 {
                out.push(b',');
            }
            out.extend_from_slice(&label.json);
            good &= label.good;
        }
        out.push(b']');
        Ok(good)
    }

    fn large(&self, row: &mut Cursor, out: &mut Vec<u8>) -> Result<()> {
        let (Reader::Binary(prefix, _) | Reader::Json(prefix) | Reader::Geometry(prefix) | Reader::Vector(prefix)) =
            self
        else {
            return Ok(());
        };
        let length = row.little(*prefix)? as usize;
        let bytes = row.take(length)?;
        match self {
            Reader::Json(_) => jsonb::write(out, bytes)?,
            Reader::Geometry(_) => geometry::write(out, bytes)?,
            Reader::Vector(_) => vector(out, bytes)?,
            Reader::Binary(_, padded) if bytes.len() < *padded => {
                // The binlog strips trailing zero bytes (Field_string::pack); one UUID in 256 has one.
                let mut whole = bytes.to_vec();
                whole.resize(*padded, 0);
                base64_text(out, &whole);
            }
            _ => base64_text(out, bytes),
        }
        Ok(())
    }
}

fn base64_text(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    json::base64(out, bytes);
    out.push(b'"');
}

fn vector(out: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    let (floats, []) = bytes.as_chunks::<4>() else { return Fault::undecodable("a VECTOR ends inside a number") };
    out.push(b'[');
    for (number, raw) in floats.iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        number::float32(out, f32::from_le_bytes(*raw));
    }
    out.push(b']');
    Ok(())
}

fn labels(texts: &[String]) -> Vec<Label> {
    let label = |text: &String| {
        let mut json = Vec::new();
        json::string(&mut json, text);
        Label { json, good: !text.starts_with(UNDECODABLE) }
    };
    texts.iter().map(label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(spec: ColumnSpec, raw: &[u8]) -> Result<String> {
        let charset = Charset::built_in(&spec.charset).map(Arc::new);
        let mut out = Vec::new();
        let mut row = Cursor::new(raw);
        Reader::compile(&spec, charset)?.read(&mut row, &mut out)?;
        assert!(row.is_empty());
        Ok(String::from_utf8(out).unwrap())
    }

    fn spec(code: u8) -> ColumnSpec {
        ColumnSpec { code, size: 1, ..ColumnSpec::default() }
    }

    #[test]
    fn signs_are_kept() {
        assert_eq!(read(spec(9), &[0xff, 0xff, 0xff]).unwrap(), "-1");
        assert_eq!(read(ColumnSpec { unsigned: true, ..spec(8) }, &[0xff; 8]).unwrap(), "18446744073709551615");
    }

    #[test]
    fn binary_is_padded_again() {
        assert_eq!(read(ColumnSpec { length: 3, ..spec(254) }, &[1, 97]).unwrap(), "\"YQAA\"");
    }

    #[test]
    fn undecodable_text_is_base64() {
        let text = ColumnSpec { charset: "utf8mb4".into(), ..spec(15) };
        assert_eq!(read(text.clone(), &[1, 0xff]).unwrap(), "\"base64:/w==\"");
        assert_eq!(read(text, &[2, b'a', b'"']).unwrap(), r#""a\"""#);
    }

    #[test]
    fn sets_are_arrays_and_enums_labels() {
        let labels = vec!["x".to_owned(), "y".to_owned(), "z".to_owned()];
        assert_eq!(read(ColumnSpec { labels: labels.clone(), ..spec(248) }, &[0b101]).unwrap(), r#"["x","z"]"#);
        assert_eq!(read(ColumnSpec { labels: labels.clone(), ..spec(248) }, &[0]).unwrap(), "[]");
        assert_eq!(read(ColumnSpec { labels: labels.clone(), ..spec(247) }, &[0]).unwrap(), "\"\"");
        assert!(read(ColumnSpec { labels, ..spec(247) }, &[4]).is_err());
    }

    #[test]
    fn unknown_types_are_refused() {
        assert!(read(spec(200), &[]).is_err());
        assert!(read(ColumnSpec { length: 65, ..spec(16) }, &[0; 9]).is_err());
    }
}
