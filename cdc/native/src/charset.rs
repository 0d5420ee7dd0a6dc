//! MySQL's character sets to JSON strings. What is not built in comes as tables from the host.

use crate::json;

/// One code that is undefined.
pub const UNDEFINED: u32 = u32::MAX;

/// How bytes become characters.
#[derive(Debug)]
pub enum Charset {
    Ascii,
    Utf8,
    Ucs2,
    Utf16 { little: bool },
    Utf32,
    Table(Box<Table>),
}

/// Codes of one to four bytes. `singles` has 256 entries; `doubles` 65,536 or none, by both bytes, big-endian.
/// `triples` 65,536 or none, by the two bytes after 0x8f. `quads`: GB 18030's codes of four bytes in their order.
#[derive(Debug, Default)]
pub struct Table {
    pub singles: Vec<u32>,
    pub doubles: Vec<u32>,
    pub triples: Vec<u32>,
    pub quads: Vec<u32>,
    /// Every ASCII byte is itself.
    pub ascii: bool,
}

const SUPPLEMENTARY: usize = 189_000; // the place of 0x90308130, which is U+10000

impl Charset {
    /// A set that needs no table.
    pub fn built_in(name: &str) -> Option<Charset> {
        Some(match name {
            "ascii" => Charset::Ascii,
            "utf8mb4" | "utf8mb3" | "utf8" | "binary" => Charset::Utf8,
            "ucs2" => Charset::Ucs2,
            "utf16" => Charset::Utf16 { little: false },
            "utf16le" => Charset::Utf16 { little: true },
            "utf32" => Charset::Utf32,
            _ => return None,
        })
    }

    /// A JSON string; false, and nothing written, where a byte means nothing.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>, bytes: &[u8]) -> bool {
        match self {
            Charset::Utf8 => json::utf8(out, bytes),
            Charset::Ascii => bytes.is_ascii() && json::utf8(out, bytes),
            Charset::Table(table) if table.ascii && bytes.is_ascii() => json::utf8(out, bytes),
            _ => self.write_slowly(out, bytes),
        }
    }

    fn write_slowly(&self, out: &mut Vec<u8>, bytes: &[u8]) -> bool {
        let start = out.len();
        out.push(b'"');
        let good = match self {
            Charset::Ucs2 => utf16(out, bytes, u16::from_be_bytes, false),
            Charset::Utf16 { little: false } => utf16(out, bytes, u16::from_be_bytes, true),
            Charset::Utf16 { little: true } => utf16(out, bytes, u16::from_le_bytes, true),
            Charset::Utf32 => utf32(out, bytes),
            Charset::Table(table) => table.write(out, bytes),
            Charset::Ascii | Charset::Utf8 => false,
        };
        if good {
            out.push(b'"');
        } else {
            out.truncate(start);
        }
        good
    }
}

fn utf16(out: &mut Vec<u8>, bytes: &[u8], unit: fn([u8; 2]) -> u16, pairs: bool) -> bool {
    let (units, []) = bytes.as_chunks::<2>() else { return false };
    for found in char::decode_utf16(units.iter().map(|raw| unit(*raw))) {
        match found {
            Ok(found) if pairs || found.len_utf16() == 1 => json::character(out, found),
            _ => return false,
        }
    }
    true
}

fn utf32(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let (units, []) = bytes.as_chunks::<4>() else { return false };
    units.iter().all(|raw| char::from_u32(u32::from_be_bytes(*raw)).map(|found| json::character(out, found)).is_some())
}

impl Table {
    fn write(&self, out: &mut Vec<u8>, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        while !rest.is_empty() {
            let Some((code, length)) = self.first(rest) else { return false };
            let Some(found) = char::from_u32(code) else { return false };
            json::character(out, found);
            rest = &rest[length..];
        }
        true
    }

    /// The first code and how many bytes it takes.
    fn first(&self, bytes: &[u8]) -> Option<(u32, usize)> {
        let known = |table: &[u32], at: usize| table.get(at).copied().filter(|code| *code != UNDEFINED);
        let lead = *bytes.first()?;
        if let Some(code) = known(&self.singles, usize::from(lead)) {
            return Some((code, 1));
        }
        if let [_, second, ..] = *bytes
            && let Some(code) = known(&self.doubles, usize::from(lead) << 8 | usize::from(second))
        {
            return Some((code, 2));
        }
        if let [0x8f, second, third, ..] = *bytes
            && let Some(code) = known(&self.triples, usize::from(second) << 8 | usize::from(third))
        {
            return Some((code, 3));
        }
        if let [_, second @ b'0'..=b'9', third @ 0x81..=0xfe, fourth @ b'0'..=b'9', ..] = *bytes
            && lead >= 0x81
        {
            return self.quad([lead - 0x81, second - b'0', third - 0x81, fourth - b'0']).map(|code| (code, 4));
        }
        None
    }

    fn quad(&self, [first, second, third, fourth]: [u8; 4]) -> Option<u32> {
        let place =
            ((usize::from(first) * 10 + usize::from(second)) * 126 + usize::from(third)) * 10 + usize::from(fourth);
        if self.quads.is_empty() {
            return None;
        }
        if place >= SUPPLEMENTARY {
            return u32::try_from(place - SUPPLEMENTARY + 0x10000).ok().filter(|code| *code <= 0x10_ffff);
        }
        self.quads.get(place).copied().filter(|code| *code != UNDEFINED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(charset: &Charset, bytes: &[u8]) -> Option<String> {
        let mut out = Vec::new();
        charset.write(&mut out, bytes).then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn wide_sets_are_strict() {
        let utf16 = Charset::built_in("utf16").unwrap();
        assert_eq!(written(&utf16, b"\0a\xd8\x3d\xde\0").unwrap(), "\"a😀\"");
        assert_eq!(written(&utf16, b"\xd8\x3d"), None);
        assert_eq!(written(&utf16, b"\0"), None);
        assert_eq!(written(&Charset::Ucs2, b"\xd8\x3d\xde\0"), None);
        assert_eq!(written(&Charset::Utf32, b"\0\0\xd8\0"), None);
        assert_eq!(written(&Charset::Utf32, b"\0\0\0\"").unwrap(), "\"\\\"\"");
    }

    #[test]
    fn tables_know_what_is_undefined() {
        let mut singles: Vec<u32> = (0..256).collect();
        singles[0x81] = UNDEFINED;
        let mut doubles = vec![UNDEFINED; 65536];
        doubles[0x8140] = 0x4e02;
        let table = Charset::Table(Box::new(Table { singles, doubles, ascii: true, ..Table::default() }));
        assert_eq!(written(&table, b"a\x81\x40\xe9").unwrap(), "\"a丂é\"");
        assert_eq!(written(&table, b"\x81"), None);
        assert_eq!(written(&table, b"\x81\x41"), None);
    }
}
