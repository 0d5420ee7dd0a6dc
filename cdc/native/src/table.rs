//! A captured table: the decoder of its rows, compiled once per layout, and where its events go.

use std::sync::Arc;

use crate::charset::Charset;
use crate::column::{ColumnSpec, Reader, code};
use crate::cursor::Cursor;
use crate::fault::{Fault, Foreign, Result};
use crate::protect::{self, Hasher, MASK, Protection};
use crate::{json, jsondiff};

/// What the host makes of a table map. `key`: numbers of the primary key's columns, in key order.
/// `new`: the layout, if it is seen for the first time. `hash_key`: there if a column is hashed.
pub struct TableSpec {
    pub db: String,
    pub name: String,
    pub version: u32,
    pub topic: String,
    pub partitions: u32,
    pub key: Vec<usize>,
    pub columns: Vec<ColumnSpec>,
    pub hash_key: Option<Vec<u8>>,
    pub new: Option<Foreign>,
}

pub struct Column {
    pub name: String,
    name_json: Vec<u8>,
    prefix: Vec<u8>, // `{"a":` or `,"b":`, nothing if the column is excluded
    reader: Reader,
    protection: Protection,
}

impl Column {
    pub fn is_excluded(&self) -> bool {
        self.protection == Protection::Excluded
    }
}

/// What was logged of a cell. `Diffs`: a partial update of a JSON document.
enum Cell<'a> {
    Null,
    Whole,
    Diffs { before: Option<&'a [u8]>, diffs: &'a [u8] },
}

pub struct Captured {
    pub full_name: String,
    pub version: u32,
    pub topic: Arc<str>,
    pub partitions: u32,
    pub key: Vec<usize>,
    pub columns: Vec<Column>,
    /// `,"snapshot":"false","db":…,"server_id":`
    pub source: Vec<u8>,
    json_columns: usize,
    protected: bool,
    hasher: Option<Hasher>,
}

/// Where a row image stands in a buffer, and where in it the values of its columns do.
#[derive(Default)]
pub struct Image {
    pub start: usize,
    pub end: usize,
    pub cells: Vec<(usize, usize)>,
}

impl Image {
    /// The buffer lost so many bytes before it.
    pub fn shift(&mut self, count: usize) {
        let back = |place: &mut usize| *place = place.saturating_sub(count);
        back(&mut self.start);
        back(&mut self.end);
        for (start, end) in &mut self.cells {
            back(start);
            back(end);
        }
    }
}

impl Captured {
    pub fn compile(spec: &TableSpec, charset: &mut dyn FnMut(&str) -> Result<Arc<Charset>>) -> Result<Captured> {
        let mut columns = Vec::with_capacity(spec.columns.len());
        let mut shown = 0;
        for column in &spec.columns {
            let labelled = matches!(column.code, 247 | 248);
            let text = !column.charset.is_empty() && !labelled;
            let found = if text { Some(charset(&column.charset)?) } else { None };
            let mut name_json = Vec::new();
            json::string(&mut name_json, &column.name);
            let excluded = column.protection == Protection::Excluded;
            let prefix = match shown {
                _ if excluded => Vec::new(),
                0 => [b"{", name_json.as_slice(), b":"].concat(),
                _ => [b",", name_json.as_slice(), b":"].concat(),
            };
            shown += usize::from(!excluded);
            columns.push(Column {
                name: column.name.clone(),
                name_json,
                prefix,
                reader: Reader::compile(column, found)?,
                protection: column.protection,
            });
        }
        let has = |number: &usize| columns.get(*number).is_some_and(|column| column.protection == Protection::Plain);
        if spec.partitions == 0 || !spec.key.iter().all(has) {
            return Fault::undecodable("a table without partitions, or with a key that it does not have");
        }
        let hashed = spec.columns.iter().any(|column| column.protection == Protection::Hashed);
        let hasher = spec.hash_key.as_deref().map(Hasher::new).transpose()?;
        if hashed && hasher.is_none() {
            return Fault::undecodable("a column to be hashed, and no key");
        }
        let mut source = b",\"snapshot\":\"false\",\"db\":".to_vec();
        json::string(&mut source, &spec.db);
        source.extend_from_slice(b",\"table\":");
        json::string(&mut source, &spec.name);
        source.extend_from_slice(format!(",\"table_version\":{},\"server_id\":", spec.version).as_bytes());
        Ok(Captured {
            full_name: format!("{}.{}", spec.db, spec.name),
            version: spec.version,
            topic: spec.topic.as_str().into(),
            partitions: spec.partitions,
            key: spec.key.clone(),
            json_columns: spec.columns.iter().filter(|column| column.code == code::JSON).count(),
            protected: spec.columns.iter().any(|column| column.protection != Protection::Plain),
            hasher,
            columns,
            source,
        })
    }

    pub fn bitmap_bytes(&self) -> usize {
        self.columns.len().div_ceil(8)
    }

    /// A whole row image, as a JSON object. `bad` hears of columns whose text could not be decoded.
    pub fn image(&self, row: &mut Cursor, out: &mut Vec<u8>, image: &mut Image, bad: &mut Vec<usize>) -> Result<()> {
        self.values(row, out, image, bad, None).map_err(|fault| self.told(fault))
    }

    /// The image after a partial update. `before`: the bytes of the image before, as they were logged.
    pub fn partial_image(
        &self,
        row: &mut Cursor,
        before: &[u8],
        out: &mut Vec<u8>,
        image: &mut Image,
        bad: &mut Vec<usize>,
    ) -> Result<()> {
        // value_options; then one bit for each JSON column of the table (`rpl_record.cc`, unpack_row)
        let partial = match row.packed()? {
            0 => None,
            1 => Some((row.take(self.json_columns.div_ceil(8))?, Cursor::new(before))),
            other => return Fault::undecodable(format!("a partial update has the unknown options {other}")),
        };
        self.values(row, out, image, bad, partial).map_err(|fault| self.told(fault))
    }

    fn told(&self, fault: Box<Fault>) -> Box<Fault> {
        if self.protected { protect::hidden(fault) } else { fault }
    }

    fn values(
        &self,
        row: &mut Cursor,
        out: &mut Vec<u8>,
        image: &mut Image,
        bad: &mut Vec<usize>,
        partial: Option<(&[u8], Cursor)>,
    ) -> Result<()> {
        let nulls = row.take(self.bitmap_bytes())?;
        let (bits, mut before) = match partial {
            Some((bits, mut before)) => {
                let nulls_before = before.take(self.bitmap_bytes())?;
                (bits, Some((before, nulls_before)))
            }
            None => ([].as_slice(), None),
        };
        let mut json_column = 0;
        image.start = out.len();
        image.cells.clear();
        for (number, column) in self.columns.iter().enumerate() {
            out.extend_from_slice(&column.prefix);
            let start = out.len();
            let mut cell = if is_set(nulls, number) { Cell::Null } else { Cell::Whole };
            if let Some((cells, nulls_before)) = &mut before {
                let old = if is_set(nulls_before, number) { None } else { Some(column.reader.raw(cells)?) };
                let is_json = matches!(column.reader, Reader::Json(_));
                json_column += usize::from(is_json);
                if is_json && matches!(cell, Cell::Whole) && is_set(bits, json_column - 1) {
                    let length = row.u32()? as usize;
                    cell = Cell::Diffs { before: old, diffs: row.take(length)? };
                }
            }
            let good = match (column.protection, cell) {
                (Protection::Plain, Cell::Whole) => column.reader.read(row, out)?,
                (Protection::Plain, cell) => self.value(column, cell, row, out)?,
                (protection, cell) => self.protected(column, protection, cell, row, out)?,
            };
            if !good && !bad.contains(&number) {
                bad.push(number);
            }
            image.cells.push((start, out.len()));
        }
        out.extend_from_slice(if self.columns.is_empty() { b"{}" } else { b"}" });
        image.end = out.len();
        Ok(())
    }

    /// False if text could not be decoded.
    fn value(&self, column: &Column, cell: Cell, row: &mut Cursor, out: &mut Vec<u8>) -> Result<bool> {
        match cell {
            Cell::Null => out.extend_from_slice(json::NULL),
            Cell::Whole => return column.reader.read(row, out),
            Cell::Diffs { before: Some(before), diffs } => jsondiff::write(out, before, diffs)?,
            Cell::Diffs { before: None, .. } => {
                return Fault::undecodable("a partial update of a JSON column that was NULL before");
            }
        }
        Ok(true)
    }

    /// What is excluded or masked is never decoded; that bytes to be hashed are no text is nobody's to know.
    fn protected(
        &self,
        column: &Column,
        protection: Protection,
        cell: Cell,
        row: &mut Cursor,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        if protection == Protection::Hashed {
            let start = out.len();
            self.value(column, cell, row, out)?;
            if let Some(hasher) = &self.hasher {
                hasher.replace(out, start)?;
            }
            return Ok(true);
        }
        let null = matches!(cell, Cell::Null);
        if matches!(cell, Cell::Whole) {
            column.reader.raw(row)?;
        }
        if protection == Protection::Masked {
            out.extend_from_slice(if null { json::NULL } else { MASK });
        }
        Ok(true)
    }

    /// The Kafka key of a row: the primary key columns in key order.
    pub fn write_key(&self, out: &mut Vec<u8>, buffer: &[u8], image: &Image) {
        out.push(b'{');
        for (place, number) in self.key.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            let (start, end) = image.cells[*number];
            out.extend_from_slice(&self.columns[*number].name_json);
            out.push(b':');
            out.extend_from_slice(&buffer[start..end]);
        }
        out.push(b'}');
    }

    /// The image without some columns.
    pub fn write_without(&self, out: &mut Vec<u8>, buffer: &[u8], image: &Image, omitted: &[usize]) {
        out.push(b'{');
        let mut first = true;
        for (number, column) in self.columns.iter().enumerate() {
            if column.is_excluded() || omitted.contains(&number) {
                continue;
            }
            if !first {
                out.push(b',');
            }
            first = false;
            let (start, end) = image.cells[number];
            out.extend_from_slice(&column.name_json);
            out.push(b':');
            out.extend_from_slice(&buffer[start..end]);
        }
        out.push(b'}');
    }

    /// A JSON array of column names.
    pub fn write_names(&self, out: &mut Vec<u8>, numbers: &[usize]) {
        out.push(b'[');
        for (place, number) in numbers.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&self.columns[*number].name_json);
        }
        out.push(b']');
    }
}

fn is_set(bits: &[u8], number: usize) -> bool {
    bits.get(number / 8).is_some_and(|byte| byte >> (number % 8) & 1 == 1)
}
