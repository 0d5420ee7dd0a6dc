//! The part of a TABLE_MAP that says how rows are laid out; names, labels and character sets are made up.

use tidemark_native::column::ColumnSpec;
use tidemark_native::cursor::Cursor;
use tidemark_native::fault::Result;
use tidemark_native::protect::Protection;
use tidemark_native::table::TableSpec;

const CHARSETS: [&str; 7] = ["utf8mb4", "", "latin1", "utf16", "utf32", "ascii", "ucs2"];

pub fn table(body: &[u8]) -> Result<TableSpec> {
    let mut cursor = Cursor::new(body);
    cursor.take(8)?;
    for _ in 0..2 {
        let length = usize::from(cursor.u8()?);
        cursor.take(length + 1)?;
    }
    let codes = cursor.packed_bytes()?;
    let mut meta = Cursor::new(cursor.packed_bytes()?);
    let columns = codes.iter().enumerate().map(|(number, code)| column(number, *code, &mut meta));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    Ok(TableSpec {
        db: "d".into(),
        name: "t\"".into(),
        version: 1,
        topic: "f.d.t".into(),
        partitions: 3,
        key: if columns.is_empty() { Vec::new() } else { vec![0] },
        columns,
        hash_key: Some(vec![7; 32]),
        new: None,
    })
}

fn column(number: usize, code: u8, meta: &mut Cursor) -> Result<ColumnSpec> {
    let mut spec = ColumnSpec { name: format!("c{number}"), code, unsigned: number % 2 == 1, ..ColumnSpec::default() };
    match code {
        4 | 5 => drop(meta.u8()?),
        17..=19 => spec.fsp = meta.u8()?,
        242 | 245 | 249..=252 | 255 => spec.size = usize::from(meta.u8()?),
        16 => spec.length = usize::from(meta.u8()?) + 8 * usize::from(meta.u8()?),
        246 => (spec.precision, spec.scale) = (usize::from(meta.u8()?), usize::from(meta.u8()?)),
        15 | 253 => sized(&mut spec, usize::from(meta.u16()?)),
        254 => string(&mut spec, meta.u8()?, meta.u8()?),
        247 | 248 => spec.size = usize::from(meta.u16()? >> 8),
        _ => {}
    }
    if matches!(spec.code, 247 | 248) {
        spec.labels = (0..60).map(|label| format!("l\"{label}")).collect();
    }
    if matches!(spec.code, 15 | 249..=254) {
        spec.charset = CHARSETS[number % CHARSETS.len()].into();
    }
    spec.protection = match number {
        5 => Protection::Hashed,
        6 => Protection::Masked,
        7 => Protection::Excluded,
        _ => Protection::Plain,
    };
    Ok(spec)
}

fn sized(spec: &mut ColumnSpec, length: usize) {
    spec.length = length;
    spec.size = if length < 256 { 1 } else { 2 };
}

/// Two bits of the length are hidden, inverted, in the type byte; it also stands for ENUM and SET.
fn string(spec: &mut ColumnSpec, kind: u8, low: u8) {
    let high = usize::from((kind & 0x30) ^ 0x30) << 4;
    spec.code = kind | 0x30;
    match spec.code {
        247 | 248 => spec.size = usize::from(low),
        _ => sized(spec, high | usize::from(low)),
    }
}
