//! A captured table: the decoder of its rows, compiled once per layout, and where its events go.

use std::sync::Arc;

use crate::charset::Charset;
use crate::column::{ColumnSpec, Reader, code};
use crate::cursor::Cursor;
use crate::fault::{Fault, Foreign, Result};
use crate::{json, jsondiff};

/// What the host makes of a table map. `key`: numbers of the primary key's columns, in key order.
/// `new`: the layout, if it is seen for the first time.
pub struct TableSpec {
    pub db: String,
    pub name: String,
    pub version: u32,
    pub topic: String,
    pub partitions: u32,
    pub key: Vec<usize>,
    pub columns: Vec<ColumnSpec>,
    pub new: Option<Foreign>,
}

pub struct Column {
    pub name: String,
    name_json: Vec<u8>,
    prefix: Vec<u8>, // `{"a":` or `,"b":`
    reader: Reader,
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
}

/// Where a row image stands in a buffer, and where in it the values of its columns do.
#[derive(Default)]
pub struct Image {
    pub start: usize,
    pub end: usize,
    pub cells: Vec<(usize, usize)>,
}

impl Captured {
    pub fn compile(spec: &TableSpec, charset: &mut dyn FnMut(&str) -> Result<Arc<Charset>>) -> Result<Captured> {
        let mut columns = Vec::with_capacity(spec.columns.len());
        for (number, column) in spec.columns.iter().enumerate() {
            let labelled = matches!(column.code, 247 | 248);
            let text = !column.charset.is_empty() && !labelled;
            let found = if text { Some(charset(&column.charset)?) } else { None };
            let mut name_json = Vec::new();
            json::string(&mut name_json, &column.name);
            let prefix = [if number == 0 { b"{" } else { b",".as_slice() }, &name_json, b":"].concat();
            columns.push(Column {
                name: column.name.clone(),
                name_json,
                prefix,
                reader: Reader::compile(column, found)?,
            });
        }
        if spec.partitions == 0 || spec.key.iter().any(|number| *number >= columns.len()) {
            return Fault::undecodable("a table without partitions, or with a key that it does not have");
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
            columns,
            source,
        })
    }

    pub fn bitmap_bytes(&self) -> usize {
        self.columns.len().div_ceil(8)
    }

    /// A whole row image, as a JSON object. `bad` hears of columns whose text could not be decoded.
    pub fn image(&self, row: &mut Cursor, out: &mut Vec<u8>, image: &mut Image, bad: &mut Vec<usize>) -> Result<()> {
        self.values(row, out, image, bad, None)
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
        self.values(row, out, image, bad, partial)
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
            let null = is_set(nulls, number);
            if let Some((cells, nulls_before)) = &mut before {
                let old = if is_set(nulls_before, number) { None } else { Some(column.reader.raw(cells)?) };
                let is_json = matches!(column.reader, Reader::Json(_));
                json_column += usize::from(is_json);
                if is_json && !null && is_set(bits, json_column - 1) {
                    partial_value(out, old, row)?;
                    image.cells.push((start, out.len()));
                    continue;
                }
            }
            if null {
                out.extend_from_slice(json::NULL);
            } else if !column.reader.read(row, out)? && !bad.contains(&number) {
                bad.push(number);
            }
            image.cells.push((start, out.len()));
        }
        out.extend_from_slice(if self.columns.is_empty() { b"{}" } else { b"}" });
        image.end = out.len();
        Ok(())
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
        for (number, column) in self.columns.iter().enumerate().filter(|(number, _)| !omitted.contains(number)) {
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

fn partial_value(out: &mut Vec<u8>, before: Option<&[u8]>, row: &mut Cursor) -> Result<()> {
    let length = row.u32()? as usize;
    let diffs = row.take(length)?;
    match before {
        Some(before) => jsondiff::write(out, before, diffs),
        None => Fault::undecodable("a partial update of a JSON column that was NULL before"),
    }
}
