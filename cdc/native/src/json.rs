//! JSON text, byte for byte as orjson writes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub const NULL: &[u8] = b"null";

/// True if no byte needs an escape and all are ASCII.
#[inline]
fn plain(bytes: &[u8]) -> bool {
    let mut chunks = bytes.chunks_exact(16);
    for chunk in &mut chunks {
        let odd = chunk.iter().fold(false, |odd, byte| odd | is_odd(*byte));
        if odd {
            return false;
        }
    }
    !chunks.remainder().iter().any(|byte| is_odd(*byte))
}

#[inline]
fn is_odd(byte: u8) -> bool {
    !(0x20..0x80).contains(&byte) || byte == b'"' || byte == b'\\'
}

/// A string of UTF-8 bytes; false, and nothing written, if they are not UTF-8.
#[inline]
pub fn utf8(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    if plain(bytes) {
        out.push(b'"');
        out.extend_from_slice(bytes);
        out.push(b'"');
        return true;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            string(out, text);
            true
        }
        Err(_) => false,
    }
}

/// A string.
pub fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escaped(out, text.as_bytes());
    out.push(b'"');
}

/// A string's inside.
pub fn escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut from = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[from..at]);
        escape(out, *byte);
        from = at + 1;
    }
    out.extend_from_slice(&bytes[from..]);
}

#[inline]
pub fn escape(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        0x08 => out.extend_from_slice(b"\\b"),
        0x09 => out.extend_from_slice(b"\\t"),
        0x0a => out.extend_from_slice(b"\\n"),
        0x0c => out.extend_from_slice(b"\\f"),
        0x0d => out.extend_from_slice(b"\\r"),
        0..0x20 => {
            out.extend_from_slice(b"\\u00");
            hex(out, byte);
        }
        _ => out.push(byte),
    }
}

pub const HEX: &[u8; 16] = b"0123456789abcdef";

/// Two hexadecimal digits.
#[inline]
pub fn hex(out: &mut Vec<u8>, byte: u8) {
    out.push(HEX[usize::from(byte >> 4)]);
    out.push(HEX[usize::from(byte & 15)]);
}

/// A character inside of a string.
#[inline]
pub fn character(out: &mut Vec<u8>, found: char) {
    if found.is_ascii() {
        escape(out, found as u8);
    } else {
        out.extend_from_slice(found.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// Base64 without quotes.
pub fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    // The room is exactly what the standard alphabet with padding takes.
    let written = STANDARD.encode_slice(bytes, &mut out[start..]).unwrap_or(0);
    out.truncate(start + written);
}

#[inline]
pub fn unsigned(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

#[inline]
pub fn signed(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// A float64; null for NaN and infinities.
#[inline]
pub fn float(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(NULL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes_as_orjson_does() {
        assert_eq!(written(|out| string(out, "a\"\\\u{1}\n\u{7f}é")), "\"a\\\"\\\\\\u0001\\n\u{7f}é\"");
        assert!(!utf8(&mut Vec::new(), b"\xff"));
    }

    #[test]
    fn writes_floats() {
        assert_eq!(written(|out| float(out, 1.0)), "1.0");
        assert_eq!(written(|out| float(out, -0.0)), "-0.0");
        assert_eq!(written(|out| float(out, 1e300)), "1e+300");
        assert_eq!(written(|out| float(out, f64::NAN)), "null");
    }

    #[test]
    fn writes_base64() {
        assert_eq!(written(|out| base64(out, b"a")), "YQ==");
        assert_eq!(written(|out| base64(out, b"")), "");
    }
}
