//! MySQL's binary JSON to JSON text: the value that `CAST(doc AS CHAR)` shows. Layout: `sql-common/json_binary.h`.
//! Every digit is kept: DOUBLE 1.0 stays `1.0`, a DECIMAL becomes a number token.

use crate::cursor::Cursor;
use crate::fault::{Fault, Result};
use crate::json;
use crate::number::Decimal;
use crate::temporal;

const DEEPEST: usize = 200; // MySQL allows 100
const BASE64_LINE: usize = 76; // MySQL's base64_encode breaks lines, and the break is in the value

/// A stored document as compact JSON text. Nothing at all is what IGNORE makes of a refused NULL: JSON null.
pub fn write(out: &mut Vec<u8>, raw: &[u8]) -> Result<()> {
    if raw.is_empty() {
        out.extend_from_slice(json::NULL);
        return Ok(());
    }
    // A value takes at least three bytes of its container. A damaged document could name one value over and over.
    Writer { out, left: raw.len() }.value(&Value { kind: raw[0], bytes: &raw[1..] }, 0)
}

/// A value inside a document: its type, and the bytes from where it begins.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    pub kind: u8,
    pub bytes: &'a [u8],
}

/// An object or array.
pub struct Container<'a> {
    bytes: &'a [u8],
    pub object: bool,
    width: usize,
    pub count: usize,
}

impl<'a> Value<'a> {
    pub fn container(&self) -> Result<Option<Container<'a>>> {
        let (object, width) = match self.kind {
            0 => (true, 2),
            1 => (true, 4),
            2 => (false, 2),
            3 => (false, 4),
            _ => return Ok(None),
        };
        let count = Cursor::new(self.bytes).little(width)? as usize;
        Ok(Some(Container { bytes: self.bytes, object, width, count }))
    }
}

impl<'a> Container<'a> {
    pub fn key(&self, number: usize) -> Result<&'a [u8]> {
        let mut entry = self.at(2 * self.width + number * (self.width + 2))?;
        let (start, length) = (entry.little(self.width)? as usize, entry.u16()?);
        self.at(start)?.take(usize::from(length))
    }

    pub fn value(&self, number: usize) -> Result<Value<'a>> {
        let keys = if self.object { self.count * (self.width + 2) } else { 0 };
        let mut entry = self.at(2 * self.width + keys + number * (self.width + 1))?;
        let kind = entry.u8()?;
        // Literals and the small integers stand in the entry itself, in large containers the 32-bit ones too.
        let inline = match kind {
            4..=6 => true,
            7 | 8 => self.width == 4,
            _ => false,
        };
        if inline {
            return Ok(Value { kind, bytes: entry.take(self.width)? });
        }
        let start = entry.little(self.width)? as usize;
        Ok(Value { kind, bytes: self.at(start)?.rest() })
    }

    fn at(&self, start: usize) -> Result<Cursor<'a>> {
        match self.bytes.get(start..) {
            Some(rest) => Ok(Cursor::new(rest)),
            None => Fault::undecodable("a JSON document points behind its end"),
        }
    }
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    left: usize,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<()> {
        let Some(container) = value.container()? else { return scalar(self.out, value) };
        if depth > DEEPEST {
            return Fault::undecodable("a JSON document is nested too deeply");
        }
        if container.count > self.left {
            return Fault::undecodable("a JSON document has more values than bytes");
        }
        self.left -= container.count;
        self.out.push(if container.object { b'{' } else { b'[' });
        for number in 0..container.count {
            if number > 0 {
                self.out.push(b',');
            }
            if container.object {
                string(self.out, container.key(number)?)?;
                self.out.push(b':');
            }
            self.value(&container.value(number)?, depth + 1)?;
        }
        self.out.push(if container.object { b'}' } else { b']' });
        Ok(())
    }
}

fn string(out: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    if json::utf8(out, bytes) { Ok(()) } else { Fault::undecodable("a string inside JSON is not UTF-8") }
}

/// A value that is neither object nor array, as JSON text.
pub fn scalar(out: &mut Vec<u8>, value: &Value) -> Result<()> {
    let mut cursor = Cursor::new(value.bytes);
    match value.kind {
        4 => match cursor.u8()? {
            0 => out.extend_from_slice(json::NULL),
            1 => out.extend_from_slice(b"true"),
            2 => out.extend_from_slice(b"false"),
            other => return Fault::undecodable(format!("a JSON literal is {other}")),
        },
        5 => json::signed(out, i64::from(cursor.u16()? as i16)),
        6 => json::unsigned(out, u64::from(cursor.u16()?)),
        7 => json::signed(out, i64::from(cursor.u32()? as i32)),
        8 => json::unsigned(out, u64::from(cursor.u32()?)),
        9 => json::signed(out, cursor.u64()? as i64),
        10 => json::unsigned(out, cursor.u64()?),
        11 => json::float(out, f64::from_bits(cursor.u64()?)),
        12 => {
            let length = length(&mut cursor)?;
            return string(out, cursor.take(length)?);
        }
        15 => {
            let field_type = cursor.u8()?;
            let length = length(&mut cursor)?;
            return opaque(out, field_type, cursor.take(length)?);
        }
        other => return Fault::undecodable(format!("a JSON value has the unknown type {other}")),
    }
    Ok(())
}

/// Seven bits a byte, lowest first; the top bit says that more follow.
fn length(cursor: &mut Cursor) -> Result<usize> {
    let mut value = 0_usize;
    for shift in [0, 7, 14, 21, 28] {
        let byte = cursor.u8()?;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Fault::undecodable("a length inside JSON does not end")
}

fn opaque(out: &mut Vec<u8>, field_type: u8, data: &[u8]) -> Result<()> {
    match field_type {
        246 => {
            let mut cursor = Cursor::new(data);
            let layout = Decimal::new(usize::from(cursor.u8()?), usize::from(cursor.u8()?))?;
            return layout.text(out, cursor.take(layout.bytes())?);
        }
        7 | 10 | 11 | 12 => {
            let packed = Cursor::new(data).u64()? as i64;
            out.push(b'"');
            match field_type {
                10 => temporal::json_date(out, packed)?,
                11 => temporal::json_time(out, packed),
                _ => temporal::json_datetime(out, packed)?,
            }
        }
        _ => {
            out.extend_from_slice(format!("\"base64:type{field_type}:").as_bytes());
            let mut text = Vec::new();
            json::base64(&mut text, data);
            for (number, line) in text.chunks(BASE64_LINE).enumerate() {
                out.extend_from_slice(if number > 0 { b"\\n" } else { b"" });
                out.extend_from_slice(line);
            }
        }
    }
    out.push(b'"');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(raw: &[u8]) -> Result<String> {
        let mut out = Vec::new();
        write(&mut out, raw).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn reads_containers_and_scalars() {
        assert_eq!(text(b"").unwrap(), "null");
        // {"a": 1, "b": [true]}
        let raw = b"\x00\x02\x00\x1e\x00\x12\x00\x01\x00\x13\x00\x01\x00\x05\x01\x00\x02\x14\x00ab\x01\x00\x07\x00\x04\x01\x00";
        assert_eq!(text(raw).unwrap(), r#"{"a":1,"b":[true]}"#);
        assert_eq!(text(b"\x0b\0\0\0\0\0\0\xf0\x3f").unwrap(), "1.0");
    }

    #[test]
    fn damage_is_an_error_and_ends() {
        assert!(text(b"\x02\x01\x00\x07\x00\x02\x00\x00").is_err()); // an array inside itself
        assert!(text(b"\x02\x02\x00\x0a\x00\x02\x00\x00\x02\x00\x00").is_err());
        assert!(text(b"\x00\xff\xff\xff\xff").is_err());
        assert!(text(b"\x0c\x80\x80\x80\x80\x80\x80").is_err());
    }
}
