//! A batch of records as columns, as the audit wants them. Numbers are put as the machine has them.

use crate::document::fingerprint;
use crate::{event, key};

/// One record of a topic.
pub struct Record<'a> {
    pub key: &'a [u8],
    pub value: &'a [u8],
    pub partition: i32,
    pub offset: i64,
}

/// As many entries in each, in `key_ends` one more: where the keys' texts begin and end in `keys`, beginning with 0.
/// `fps`: 0 where no row is left.
pub struct Columns {
    pub key_ends: Vec<u8>,
    pub keys: Vec<u8>,
    pub partitions: Vec<u8>,
    pub offsets: Vec<u8>,
    pub seqs: Vec<u8>,
    pub ops: Vec<u8>,
    pub times_ms: Vec<u8>,
    pub fps: Vec<u8>,
}

impl Columns {
    pub fn with_capacity(records: usize) -> Columns {
        let (four, eight) = (|| Vec::with_capacity(records * 4), || Vec::with_capacity(records * 8));
        let mut key_ends = Vec::with_capacity(records * 4 + 4);
        key_ends.extend_from_slice(&0_i32.to_ne_bytes());
        Columns {
            key_ends,
            keys: Vec::with_capacity(records * 16),
            partitions: four(),
            offsets: eight(),
            seqs: eight(),
            ops: Vec::with_capacity(records),
            times_ms: eight(),
            fps: four(),
        }
    }

    /// How many entries there are.
    pub fn rows(&self) -> usize {
        self.ops.len()
    }

    /// Append a row's change; None, and nothing is appended, if it is something else.
    pub fn add(&mut self, record: &Record<'_>) -> Option<()> {
        let event = event::read(record.value)?;
        let seq = i64::try_from(event.seq).ok()?;
        let ts_ms = i64::try_from(event.ts_ms).ok()?;
        let (partition, offset) = (u32::try_from(record.partition).ok()?, u64::try_from(record.offset).ok()?);
        let text = key::text(record.key)?;
        let end = i32::try_from(self.keys.len() + text.len()).ok()?;
        let fp = event.after.map_or(0, |_| fingerprint(&text, partition, offset) as i32);
        self.keys.extend_from_slice(&text);
        self.key_ends.extend_from_slice(&end.to_ne_bytes());
        self.partitions.extend_from_slice(&record.partition.to_ne_bytes());
        self.offsets.extend_from_slice(&record.offset.to_ne_bytes());
        self.seqs.extend_from_slice(&seq.to_ne_bytes());
        self.ops.push(event.op);
        self.times_ms.extend_from_slice(&ts_ms.to_ne_bytes());
        self.fps.extend_from_slice(&fp.to_ne_bytes());
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(after: &str, op: &str, seq: u64) -> String {
        let source = format!(r#"{{"ts_ms":17,"table_version":1,"seq":{seq}}}"#);
        format!(
            r#"{{"before":null,"after":{after},"source":{source},"transaction":null,"op":"{op}","ts_ms":18,"ts_us":18000}}"#
        )
    }

    fn record<'a>(key: &'a str, value: &'a str) -> Record<'a> {
        Record { key: key.as_bytes(), value: value.as_bytes(), partition: 2, offset: 5 }
    }

    #[test]
    fn makes_columns() {
        let mut columns = Columns::with_capacity(2);
        columns.add(&record(r#"{"id":12}"#, &event(r#"{"id":12}"#, "c", 1024))).unwrap();
        columns.add(&record(r#"{"id":"ab"}"#, &event("null", "d", 2048))).unwrap();
        assert_eq!((columns.rows(), columns.keys.as_slice()), (2, b"12ab".as_slice()));
        assert_eq!(columns.key_ends, [0_i32, 2, 4].map(i32::to_ne_bytes).concat());
        assert_eq!(columns.partitions, [2_i32, 2].map(i32::to_ne_bytes).concat());
        assert_eq!(columns.offsets, [5_i64, 5].map(i64::to_ne_bytes).concat());
        assert_eq!(columns.seqs, [1024_i64, 2048].map(i64::to_ne_bytes).concat());
        assert_eq!(columns.times_ms, [17_i64, 17].map(i64::to_ne_bytes).concat());
        assert_eq!(columns.ops, b"cd");
        assert_eq!(columns.fps, [fingerprint(b"12", 2, 5) as i32, 0].map(i32::to_ne_bytes).concat());
    }

    #[test]
    fn leaves_the_rest() {
        let (row, large) = (event("{}", "c", 1), event("{}", "c", 1 << 63));
        let mut columns = Columns::with_capacity(1);
        for (key, value) in
            [("\"barrier\"", &*row), (r#"{"id":1}"#, "{}"), (r#"{"id":1}"#, &large), ("", ""), ("{}", &row)]
        {
            assert!(columns.add(&record(key, value)).is_none(), "{key}");
        }
        assert!(columns.add(&Record { offset: -1, ..record(r#"{"id":1}"#, &row) }).is_none());
        assert_eq!((columns.rows(), columns.keys.len(), columns.key_ends.len()), (0, 0, 4));
    }
}
