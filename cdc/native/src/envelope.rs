//! Row changes to Kafka records. What the rows of one event share is encoded once; each row adds its numbers.

use std::sync::Arc;

use crate::batch::{Batch, Header, LossKind, Record, Span};
use crate::json;
use crate::partition::partition_of;
use crate::table::{Captured, Image};
use crate::transaction::{Coordinates, Transaction};

const SEQ_STEP: u64 = 1024;

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Op {
    Create,
    Update,
    Delete,
}

impl Op {
    fn letter(self) -> &'static [u8] {
        match self {
            Op::Create => b"c",
            Op::Update => b"u",
            Op::Delete => b"d",
        }
    }
}

/// Both images of a row, in one buffer.
#[derive(Default)]
pub struct Row {
    pub buffer: Vec<u8>,
    pub before: Image,
    pub after: Image,
    pub undecodable: Vec<usize>,
}

/// What a record shows of a row.
#[derive(Clone, Copy)]
struct Shown {
    before: bool,
    after: bool,
    op: Op,
    number: u64,
}

/// Makes the records of one rows event. `seq`: the highest given out.
pub struct Envelope<'a> {
    captured: &'a Captured,
    limit: usize,
    source: Vec<u8>,
    thread: Vec<u8>,
    id: Vec<u8>,
    times: Vec<u8>,
    key: Vec<u8>,
    old_key: Vec<u8>,
    pub seq: u64,
    pub total: u64,
    pub order: u64,
}

/// What all events of a source, and of one binlog event, have in common.
pub struct Origin<'a> {
    /// `{"version":…,"connector":…,"name":…,"ts_ms":`
    pub head: &'a [u8],
    pub server_id: u32,
    pub at: &'a Coordinates,
    pub transaction: &'a Transaction,
    pub captured_us: u64,
}

impl<'a> Envelope<'a> {
    pub fn new(captured: &'a Captured, origin: &Origin, seq: u64, limit: usize) -> Envelope<'a> {
        let transaction = origin.transaction;
        let mut source = origin.head.to_vec();
        json::unsigned(&mut source, transaction.commit_us / 1000);
        source.extend_from_slice(b",\"ts_us\":");
        json::unsigned(&mut source, transaction.commit_us);
        source.extend_from_slice(&captured.source);
        json::unsigned(&mut source, u64::from(origin.server_id));
        source.extend_from_slice(b",\"gtid\":");
        match transaction.gtid.as_str() {
            "" => source.extend_from_slice(json::NULL),
            gtid => json::string(&mut source, gtid),
        }
        source.extend_from_slice(b",\"file\":");
        json::string(&mut source, &origin.at.file);
        source.extend_from_slice(b",\"pos\":");
        json::unsigned(&mut source, origin.at.start);
        source.extend_from_slice(b",\"row\":");
        let mut id = b"},\"transaction\":{\"id\":".to_vec();
        json::string(&mut id, &transaction.id);
        id.extend_from_slice(b",\"total_order\":");
        let micros = origin.captured_us;
        Envelope {
            captured,
            limit,
            source,
            thread: format!(",\"thread\":{},\"seq\":", transaction.thread).into_bytes(),
            id,
            times: format!("\",\"ts_ms\":{},\"ts_us\":{micros}}}", micros / 1000).into_bytes(),
            key: Vec::new(),
            old_key: Vec::new(),
            seq,
            total: transaction.total,
            order: transaction.orders.get(&captured.full_name).copied().unwrap_or_default(),
        }
    }

    /// One row change as records: one, two with the tombstone of a delete, three if its key changed.
    pub fn records(&mut self, batch: &mut Batch, row: &Row, number: u64, op: Op) {
        if !row.undecodable.is_empty() {
            self.lose(batch, LossKind::Undecodable, &row.undecodable);
        }
        let topic = batch.topic(&self.captured.topic);
        let whole = Shown { before: op != Op::Create, after: op != Op::Delete, op, number };
        match op {
            Op::Update if self.keys_differ(row) => {
                let (key, old_key) = (std::mem::take(&mut self.key), std::mem::take(&mut self.old_key));
                let deleted = Shown { after: false, op: Op::Delete, ..whole };
                self.delete(batch, topic, row, deleted, &old_key, Some((Header::NewKey, &key)));
                let created = Shown { before: false, op: Op::Create, ..whole };
                self.record(batch, topic, row, created, &key, Some((Header::OldKey, &old_key)));
                (self.key, self.old_key) = (key, old_key);
            }
            _ => {
                let mut key = std::mem::take(&mut self.key);
                key.clear();
                let image = if op == Op::Delete { &row.before } else { &row.after };
                self.captured.write_key(&mut key, &row.buffer, image);
                if op == Op::Delete {
                    self.delete(batch, topic, row, whole, &key, None);
                } else {
                    self.record(batch, topic, row, whole, &key, None);
                }
                self.key = key;
            }
        }
    }

    /// Count a row that was published before an interruption.
    pub fn pass_over(&mut self, row: &Row, op: Op) {
        let events = if op == Op::Update && self.keys_differ(row) { 2 } else { 1 };
        self.total += events;
        self.order += events;
    }

    fn keys_differ(&mut self, row: &Row) -> bool {
        let cell = |image: &Image, number: usize| {
            let (start, end) = image.cells[number];
            start..end
        };
        let same = self
            .captured
            .key
            .iter()
            .all(|number| row.buffer[cell(&row.before, *number)] == row.buffer[cell(&row.after, *number)]);
        if !same {
            self.key.clear();
            self.old_key.clear();
            self.captured.write_key(&mut self.old_key, &row.buffer, &row.before);
            self.captured.write_key(&mut self.key, &row.buffer, &row.after);
        }
        !same
    }

    fn delete(
        &mut self,
        batch: &mut Batch,
        topic: usize,
        row: &Row,
        shown: Shown,
        key: &[u8],
        header: Option<(Header, &[u8])>,
    ) {
        let deleted = self.record(batch, topic, row, shown, key, header);
        let seq = self.seq;
        let seq = batch.put(|out| json::unsigned(out, seq));
        batch.push(Record { value: None, header: Some((Header::Seq, seq)), ..deleted });
    }

    fn record(
        &mut self,
        batch: &mut Batch,
        topic: usize,
        row: &Row,
        shown: Shown,
        key: &[u8],
        header: Option<(Header, &[u8])>,
    ) -> Record {
        self.seq += SEQ_STEP;
        self.total += 1;
        self.order += 1;
        let mut value = batch.put(|out| self.value(out, row, shown, &[]));
        if value.end - value.start > self.limit {
            value = self.smaller(batch, row, shown, value);
        }
        let partition = partition_of(key, self.captured.partitions);
        let key = batch.put(|out| out.extend_from_slice(key));
        let header = header.map(|(name, bytes)| (name, batch.put(|out| out.extend_from_slice(bytes))));
        let record = Record { topic, partition, key, value: Some(value), header };
        batch.push(record);
        record
    }

    /// The value again, without its largest columns.
    fn smaller(&self, batch: &mut Batch, row: &Row, shown: Shown, whole: Span) -> Span {
        let images = [(shown.before, &row.before), (shown.after, &row.after)];
        let size = |number: usize| -> usize {
            images.iter().filter(|(is, _)| *is).map(|(_, image)| image.cells[number].1 - image.cells[number].0).sum()
        };
        let mut candidates: Vec<(usize, usize)> = (0..self.captured.columns.len())
            .filter(|number| !self.captured.key.contains(number) && !self.captured.columns[*number].is_excluded())
            .map(|number| (size(number), number))
            .collect();
        let name = |number: usize| &self.captured.columns[number].name;
        candidates
            .sort_by(|(size, number), (other, second)| other.cmp(size).then_with(|| name(*number).cmp(name(*second))));
        let mut excess = (whole.end - whole.start).saturating_sub(self.limit) as i64;
        let mut omitted = Vec::new();
        let last = candidates.len();
        let mut value = whole;
        for (place, (size, number)) in candidates.into_iter().enumerate() {
            omitted.push(number);
            excess -= size as i64;
            if excess > 0 && place + 1 < last {
                continue;
            }
            batch.buffer.truncate(whole.start);
            value = batch.put(|out| self.value(out, row, shown, &omitted));
            if value.end - value.start <= self.limit {
                break;
            }
        }
        self.lose(batch, LossKind::Omitted, &omitted);
        value
    }

    fn lose(&self, batch: &mut Batch, kind: LossKind, numbers: &[usize]) {
        let names = numbers.iter().map(|number| self.captured.columns[*number].name.as_str());
        batch.lose(kind, &self.captured.full_name, names);
    }

    fn value(&self, out: &mut Vec<u8>, row: &Row, shown: Shown, omitted: &[usize]) {
        out.reserve(row.buffer.len() + self.source.len() + self.id.len() + 200);
        let image = |out: &mut Vec<u8>, is: bool, image: &Image| match is {
            false => out.extend_from_slice(json::NULL),
            true if omitted.is_empty() => out.extend_from_slice(&row.buffer[image.start..image.end]),
            true => self.captured.write_without(out, &row.buffer, image, omitted),
        };
        out.extend_from_slice(b"{\"before\":");
        image(out, shown.before, &row.before);
        out.extend_from_slice(b",\"after\":");
        image(out, shown.after, &row.after);
        out.extend_from_slice(b",\"source\":");
        out.extend_from_slice(&self.source);
        json::unsigned(out, shown.number);
        out.extend_from_slice(&self.thread);
        json::unsigned(out, self.seq);
        if !row.undecodable.is_empty() {
            out.extend_from_slice(b",\"undecodable\":");
            self.captured.write_names(out, &row.undecodable);
        }
        if !omitted.is_empty() {
            out.extend_from_slice(b",\"omitted\":");
            self.captured.write_names(out, omitted);
        }
        out.extend_from_slice(&self.id);
        json::unsigned(out, self.total);
        out.extend_from_slice(b",\"data_collection_order\":");
        json::unsigned(out, self.order);
        out.extend_from_slice(b"},\"op\":\"");
        out.extend_from_slice(shown.op.letter());
        out.extend_from_slice(&self.times);
    }
}

/// What every event's `source` begins with.
pub fn source_head(version: &str, connector: &str, name: &str) -> Arc<[u8]> {
    let mut head = b"{\"version\":".to_vec();
    for (text, next) in [(version, ",\"connector\":"), (connector, ",\"name\":"), (name, ",\"ts_ms\":")] {
        json::string(&mut head, text);
        head.extend_from_slice(next.as_bytes());
    }
    head.into()
}
