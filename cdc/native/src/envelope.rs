//! Row changes to Kafka records. What the rows of one event share is encoded once; each row adds its numbers.

use std::sync::Arc;

use crate::batch::{Batch, Header, LossKind, Record, Span};
use crate::json;
use crate::partition::partition_of;
use crate::row::{AFTER, BEFORE, Row};
use crate::table::{Captured, Image};
use crate::transaction::{Coordinates, Transaction};

const SEQ_STEP: u64 = 1024;
const HEAD_BYTES: usize = 256; // as much as the parts of a source usually take, so that none grows
const TAIL_BYTES: usize = 64;

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
        let mut source = Vec::with_capacity(origin.head.len() + captured.source.len() + HEAD_BYTES);
        source.extend_from_slice(origin.head);
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
        let mut id = Vec::with_capacity(HEAD_BYTES);
        id.extend_from_slice(b"},\"transaction\":{\"id\":");
        json::string(&mut id, transaction.id());
        id.extend_from_slice(b",\"total_order\":");
        let mut thread = Vec::with_capacity(TAIL_BYTES);
        thread.extend_from_slice(b",\"thread\":");
        json::unsigned(&mut thread, u64::from(transaction.thread));
        thread.extend_from_slice(b",\"seq\":");
        let mut times = Vec::with_capacity(TAIL_BYTES);
        times.extend_from_slice(b"\",\"ts_ms\":");
        json::unsigned(&mut times, origin.captured_us / 1000);
        times.extend_from_slice(b",\"ts_us\":");
        json::unsigned(&mut times, origin.captured_us);
        times.push(b'}');
        Envelope {
            captured,
            limit,
            source,
            thread,
            id,
            times,
            key: Vec::new(),
            seq,
            total: transaction.total,
            order: transaction.order(&captured.topic),
        }
    }

    /// The row at the end of the batch's buffer as records: one, two with the tombstone of a delete, three if its key
    /// changed.
    pub fn records(&mut self, batch: &mut Batch, row: &mut Row, number: u64, op: Op) {
        if !row.undecodable.is_empty() {
            self.lose(batch, LossKind::Undecodable, &row.undecodable);
        }
        if op == Op::Update && self.keys_differ(&batch.buffer, row) {
            return self.moved(batch, row, number);
        }
        let shown = Shown { before: op != Op::Create, after: op != Op::Delete, op, number };
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        let image = if op == Op::Delete { &row.before } else { &row.after };
        self.captured.write_key(&mut key, &batch.buffer, image);
        self.count();
        self.close(&mut batch.buffer, row, shown, &[]);
        let mut value = Span { start: row.start, end: batch.buffer.len() };
        if self.is_too_large(value) {
            let images = row.lift(&mut batch.buffer);
            value = self.smaller(batch, &images, row, shown, value.len());
        }
        let record = self.push(batch, value, &key, None);
        if op == Op::Delete {
            self.tombstone(batch, record);
        }
        self.key = key;
    }

    /// Count a row that was published before an interruption, and take it out of the buffer.
    pub fn pass_over(&mut self, buffer: &mut Vec<u8>, row: &Row, op: Op) {
        let events = if op == Op::Update && self.keys_differ(buffer, row) { 2 } else { 1 };
        self.total += events;
        self.order += events;
        buffer.truncate(row.start);
    }

    fn keys_differ(&self, buffer: &[u8], row: &Row) -> bool {
        let cell = |image: &Image, number: usize| {
            let (start, end) = image.cells[number];
            start..end
        };
        let mut key = self.captured.key.iter();
        key.any(|number| buffer[cell(&row.before, *number)] != buffer[cell(&row.after, *number)])
    }

    /// A change of the key: a delete of the old one and a create of the new one.
    fn moved(&mut self, batch: &mut Batch, row: &mut Row, number: u64) {
        let images = row.lift(&mut batch.buffer);
        let (mut key, mut old_key) = (Vec::new(), Vec::new());
        self.captured.write_key(&mut old_key, &images, &row.before);
        self.captured.write_key(&mut key, &images, &row.after);
        let deleted = Shown { before: true, after: false, op: Op::Delete, number };
        let deleted = self.record(batch, &images, row, deleted, &old_key, (Header::NewKey, &key));
        self.tombstone(batch, deleted);
        let created = Shown { before: false, after: true, op: Op::Create, number };
        self.record(batch, &images, row, created, &key, (Header::OldKey, &old_key));
    }

    fn record(
        &mut self,
        batch: &mut Batch,
        images: &[u8],
        row: &Row,
        shown: Shown,
        key: &[u8],
        header: (Header, &[u8]),
    ) -> Record {
        self.count();
        let mut value = batch.put(|out| self.value(out, images, row, shown, &[]));
        if self.is_too_large(value) {
            batch.buffer.truncate(value.start);
            value = self.smaller(batch, images, row, shown, value.len());
        }
        self.push(batch, value, key, Some(header))
    }

    fn count(&mut self) {
        self.seq += SEQ_STEP;
        self.total += 1;
        self.order += 1;
    }

    fn is_too_large(&self, value: Span) -> bool {
        value.len() > self.limit
    }

    fn push(&self, batch: &mut Batch, value: Span, key: &[u8], header: Option<(Header, &[u8])>) -> Record {
        let topic = batch.topic(&self.captured.topic);
        let partition = partition_of(key, self.captured.partitions);
        let key = batch.put(|out| out.extend_from_slice(key));
        let header = header.map(|(name, bytes)| (name, batch.put(|out| out.extend_from_slice(bytes))));
        let record = Record { topic, partition, key, value: Some(value), header };
        batch.push(record);
        record
    }

    fn tombstone(&self, batch: &mut Batch, deleted: Record) {
        let seq = batch.put(|out| json::unsigned(out, self.seq));
        batch.push(Record { value: None, header: Some((Header::Seq, seq)), ..deleted });
    }

    /// A value of `size` bytes, again at the buffer's end, without its largest columns.
    fn smaller(&self, batch: &mut Batch, images: &[u8], row: &Row, shown: Shown, size: usize) -> Span {
        let parts = [(shown.before, &row.before), (shown.after, &row.after)];
        let weight = |number: usize| -> usize {
            parts.iter().filter(|(is, _)| *is).map(|(_, image)| image.cells[number].1 - image.cells[number].0).sum()
        };
        let mut candidates: Vec<(usize, usize)> = (0..self.captured.columns.len())
            .filter(|number| !self.captured.key.contains(number) && !self.captured.columns[*number].is_excluded())
            .map(|number| (weight(number), number))
            .collect();
        let name = |number: usize| &self.captured.columns[number].name;
        candidates
            .sort_by(|(size, number), (other, second)| other.cmp(size).then_with(|| name(*number).cmp(name(*second))));
        let mut excess = size.saturating_sub(self.limit) as i64;
        let mut omitted = Vec::new();
        let last = candidates.len();
        let start = batch.buffer.len();
        for (place, (size, number)) in candidates.into_iter().enumerate() {
            omitted.push(number);
            excess -= size as i64;
            if excess > 0 && place + 1 < last {
                continue;
            }
            batch.buffer.truncate(start);
            self.value(&mut batch.buffer, images, row, shown, &omitted);
            if batch.buffer.len() - start <= self.limit {
                break;
            }
        }
        if omitted.is_empty() {
            self.value(&mut batch.buffer, images, row, shown, &[]);
        }
        self.lose(batch, LossKind::Omitted, &omitted);
        Span { start, end: batch.buffer.len() }
    }

    fn lose(&self, batch: &mut Batch, kind: LossKind, numbers: &[usize]) {
        let names = numbers.iter().map(|number| self.captured.columns[*number].name.as_str());
        batch.lose(kind, &self.captured.full_name, names);
    }

    fn value(&self, out: &mut Vec<u8>, images: &[u8], row: &Row, shown: Shown, omitted: &[usize]) {
        let image = |out: &mut Vec<u8>, is: bool, image: &Image| match is {
            false => out.extend_from_slice(json::NULL),
            true if omitted.is_empty() => out.extend_from_slice(&images[image.start..image.end]),
            true => self.captured.write_without(out, images, image, omitted),
        };
        out.extend_from_slice(BEFORE);
        image(out, shown.before, &row.before);
        out.extend_from_slice(AFTER);
        image(out, shown.after, &row.after);
        self.close(out, row, shown, omitted);
    }

    /// What comes after the images.
    fn close(&self, out: &mut Vec<u8>, row: &Row, shown: Shown, omitted: &[usize]) {
        out.reserve(self.source.len() + self.id.len() + self.times.len() + 200);
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
