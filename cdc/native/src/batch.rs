//! Encoded records, one after the other in one buffer.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::fault::Foreign;

/// The headers that a record can have; one at most.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Header {
    NewKey,
    OldKey,
    Seq,
}

impl Header {
    pub fn name(self) -> &'static str {
        match self {
            Header::NewKey => "__debezium.newkey",
            Header::OldKey => "__debezium.oldkey",
            Header::Seq => "seq",
        }
    }
}

/// Bytes of a batch's buffer.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    pub fn len(self) -> usize {
        self.end - self.start
    }

    pub fn is_empty(self) -> bool {
        self.end == self.start
    }
}

/// One Kafka record. `value` None is a tombstone.
#[derive(Clone, Copy)]
pub struct Record {
    pub topic: usize,
    pub partition: u32,
    pub key: Span,
    pub value: Option<Span>,
    pub header: Option<(Header, Span)>,
}

/// A transaction that was published in part: rows events wholly published, and rows of the one after them.
#[derive(Clone, Debug, PartialEq)]
pub struct Open {
    pub gtid: String,
    pub event: u64,
    pub row: u64,
}

/// Where a batch ends, or reading begins; the server's UUID is asked for only then.
#[derive(Default, Clone)]
pub struct Position {
    pub server_uuid: String,
    pub gtid_set: String,
    pub file: String,
    pub pos: u64,
    pub seq: u64,
    pub open: Option<Open>,
}

/// Why an event does not carry a column as it was.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum LossKind {
    Omitted,
    Undecodable,
}

/// What a batch's events of one table could not carry as it was. `count`: columns, summed over the events.
pub struct Loss {
    pub kind: LossKind,
    pub table: String,
    pub columns: BTreeSet<String>,
    pub count: usize,
}

/// Records in source order, and the position after them. `tail`: records of the host's, after all others.
#[derive(Default)]
pub struct Batch {
    pub buffer: Vec<u8>,
    pub topics: Vec<Arc<str>>,
    pub records: Vec<Record>,
    pub tail: Vec<Foreign>,
    pub tables: Vec<Foreign>,
    pub ddl: Option<Foreign>,
    pub position: Position,
    pub rows: u64,
    pub bytes: usize,
    pub commit_us: u64,
    pub losses: Vec<Loss>,
    /// The next batch was at hand when this one was taken.
    pub more: bool,
}

impl Batch {
    /// An empty one with room for as much as this one held, and a little more: growing would double it.
    pub fn next(&self) -> Batch {
        let bytes = self.buffer.len() + self.buffer.len() / 8;
        let records = self.records.len() + self.records.len() / 8;
        Batch {
            buffer: Vec::with_capacity(bytes.min(1 << 24)),
            records: Vec::with_capacity(records.min(1 << 16)),
            ..Batch::default()
        }
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.tail.is_empty()
    }

    /// The number of a topic in this batch.
    pub fn topic(&mut self, name: &Arc<str>) -> usize {
        // Few topics a batch, and the latest is the likeliest.
        match self.topics.iter().rposition(|known| Arc::ptr_eq(known, name) || known == name) {
            Some(number) => number,
            None => {
                self.topics.push(name.clone());
                self.topics.len() - 1
            }
        }
    }

    /// Append bytes.
    pub fn put(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Span {
        let start = self.buffer.len();
        write(&mut self.buffer);
        Span { start, end: self.buffer.len() }
    }

    pub fn bytes_of(&self, span: Span) -> &[u8] {
        &self.buffer[span.start..span.end]
    }

    pub fn push(&mut self, record: Record) {
        self.bytes += record.key.len() + record.value.map_or(0, Span::len);
        self.records.push(record);
    }

    /// Count columns of one event that it does not carry as they were.
    pub fn lose<'a>(&mut self, kind: LossKind, table: &str, columns: impl ExactSizeIterator<Item = &'a str>) {
        if columns.len() == 0 {
            return;
        }
        let place = match self.losses.iter().position(|loss| loss.kind == kind && loss.table == table) {
            Some(place) => place,
            None => {
                self.losses.push(Loss { kind, table: table.to_owned(), columns: BTreeSet::new(), count: 0 });
                self.losses.len() - 1
            }
        };
        let loss = &mut self.losses[place];
        loss.count += columns.len();
        for name in columns {
            if !loss.columns.contains(name) {
                loss.columns.insert(name.to_owned());
            }
        }
    }

    /// What the batch holds in memory, for the bound on what waits.
    pub fn weight(&self) -> usize {
        self.buffer.len() + self.records.len() * size_of::<Record>() + 1024
    }
}
