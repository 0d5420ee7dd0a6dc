//! The engine's core: binlog events in, batches out. No I/O.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::batch::{Batch, Open, Position};
use crate::envelope::Op;
use crate::event::{self, ARTIFICIAL_FLAG, Event, IGNORABLE_FLAG, kind};
use crate::fault::{Fault, Result};
use crate::framing::Framing;
use crate::gtid;
use crate::host::Host;
use crate::payload::{self, Room};
use crate::progress::Progress;
use crate::row::Row;
use crate::tables::Tables;
use crate::transaction::{Skip, Transaction};

mod changes;
mod statements;

/// Takes full batches; may wait.
pub type Emit<'a> = &'a mut dyn FnMut(Batch) -> Result<()>;

/// Where to begin, when a batch is full, and what an event may weigh. `now_us`: a fixed time of capture, for tests.
pub struct Config {
    pub source_head: Arc<[u8]>,
    pub start: Position,
    pub batch_events: u64,
    pub batch_bytes: usize,
    pub event_bytes: usize,
    pub now_us: Option<u64>,
    /// An empty GTID set is all there was before the start, and not merely unknown.
    pub no_gtid_before: bool,
}

pub struct Decoder {
    config: Config,
    host: Box<dyn Host>,
    progress: Progress,
    framing: Framing,
    seq: u64,
    skip: Skip,
    tables: Tables,
    transaction: Option<Transaction>,
    in_payload: bool,
    batch: Batch,
    row: Row,
    pub idle: bool,
    /// The type of the latest event, for messages.
    pub kind: u8,
}

impl Decoder {
    pub fn new(config: Config, host: Box<dyn Host>) -> Result<Decoder> {
        let start = &config.start;
        Ok(Decoder {
            host,
            progress: Progress::new(start, config.no_gtid_before)?,
            framing: Framing::default(),
            seq: start.seq,
            skip: Skip(start.open.clone()),
            tables: Tables::default(),
            transaction: None,
            in_payload: false,
            batch: Batch::default(),
            row: Row::default(),
            idle: false,
            kind: 0,
            config,
        })
    }

    /// True between two transactions.
    pub fn at_boundary(&self) -> bool {
        self.transaction.is_none()
    }

    /// True if there is something to publish.
    pub fn pending(&self) -> bool {
        !self.batch.is_empty()
    }

    /// Where the latest event is, for messages.
    pub fn place(&self) -> String {
        match &self.transaction {
            Some(found) if !found.gtid.is_empty() => format!("{}, transaction {}", self.progress.at, found.gtid),
            _ => self.progress.at.to_string(),
        }
    }

    /// One event, as it comes after the packet's OK byte. `room` hears of its size, and of those inside it.
    pub fn feed(&mut self, raw: &[u8], room: Room, emit: Emit) -> Result<()> {
        room(raw.len())?;
        let event = self.framing.parse(raw)?;
        self.kind = event.kind;
        if self.progress.advance(&event) {
            return Ok(());
        }
        if event.kind == kind::TRANSACTION_PAYLOAD {
            self.in_payload = true;
            let outcome = payload::each(event.body, room, &mut |raw| {
                let inner = event::parse(raw, false)?;
                self.handle(&inner, emit)
            });
            self.in_payload = false;
            return outcome;
        }
        self.handle(&event, emit)
    }

    /// What has been gathered, or a moved position; None if there is neither, or a transaction is open.
    pub fn take(&mut self) -> Option<Batch> {
        let something = self.pending() || !self.batch.tables.is_empty() || self.progress.moved;
        (self.at_boundary() && something).then(|| self.finish_batch())
    }

    /// What has been gathered of an open transaction, be it nothing: a sign of life where events come and none is due.
    pub fn interim(&mut self) -> Option<Batch> {
        (!self.at_boundary()).then(|| self.finish_batch())
    }

    /// After a statement was dealt with: what is captured may have changed.
    pub fn ask_again(&mut self) {
        self.tables.ask_again();
    }

    fn handle(&mut self, event: &Event, emit: Emit) -> Result<()> {
        self.kind = event.kind;
        match event.kind {
            kind::WRITE_ROWS | kind::WRITE_ROWS_V1 => self.rows(event, Op::Create, emit),
            kind::UPDATE_ROWS | kind::UPDATE_ROWS_V1 | kind::PARTIAL_UPDATE_ROWS => self.rows(event, Op::Update, emit),
            kind::DELETE_ROWS | kind::DELETE_ROWS_V1 => self.rows(event, Op::Delete, emit),
            kind::TABLE_MAP => {
                let new = self.tables.map(event.body, self.host.as_mut())?;
                self.batch.tables.extend(new);
                Ok(())
            }
            kind::GTID | kind::ANONYMOUS_GTID => {
                self.gtid(gtid::parse(event.body, event.kind == kind::ANONYMOUS_GTID)?, event)
            }
            kind::GTID_TAGGED => self.gtid(gtid::parse_tagged(event.body)?, event),
            kind::XID => self.commit(),
            kind::QUERY => self.query(event, emit),
            kind::EXECUTE_LOAD_QUERY => self.statement(event, true, emit),
            kind::ROTATE => self.rotate(event),
            kind::HEARTBEAT => self.heartbeat(event),
            kind::XA_PREPARE => {
                self.host.prepared(event.body)?;
                self.commit()
            }
            kind::INCIDENT => Err(Box::new(Fault::Incident)),
            kind::FORMAT_DESCRIPTION => {
                self.tables.forget();
                self.check_finished(event)
            }
            kind::STOP
            | kind::IGNORABLE
            | kind::ROWS_QUERY
            | kind::PREVIOUS_GTIDS
            | kind::TRANSACTION_CONTEXT
            | kind::VIEW_CHANGE
            | kind::HEARTBEAT_V2
            // The statement that these belong to decides.
            | kind::INTVAR
            | kind::RAND
            | kind::USER_VAR
            | kind::BEGIN_LOAD_QUERY
            | kind::APPEND_BLOCK
            | kind::DELETE_FILE => Ok(()),
            _ if event.flags & IGNORABLE_FLAG != 0 => Ok(()),
            unknown => Err(Box::new(Fault::Unsupported(unknown))),
        }
    }

    fn now_us(&self) -> u64 {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64);
        self.config.now_us.unwrap_or_else(now)
    }

    // Transactions

    fn gtid(&mut self, found: gtid::Gtid, event: &Event) -> Result<()> {
        self.check_finished(event)?;
        let commit_us = if found.commit_us > 0 { found.commit_us } else { u64::from(event.timestamp) * 1_000_000 };
        self.begin(found.text, commit_us)
    }

    /// What begins a file or a transaction must not come inside a transaction; the dump thread's own events may.
    fn check_finished(&self, event: &Event) -> Result<()> {
        let made_up = event.flags & ARTIFICIAL_FLAG != 0 || event.log_pos == 0;
        match &self.transaction {
            Some(open) if open.captured && !made_up => Err(Box::new(Fault::Unfinished)),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, gtid: String, commit_us: u64) -> Result<()> {
        self.skip.begin(&gtid)?;
        self.transaction = Some(Transaction::new(gtid, commit_us, &self.progress.at));
        Ok(())
    }

    fn ensure_transaction(&mut self, event: &Event) -> Result<()> {
        match self.transaction {
            Some(_) => Ok(()),
            None => self.begin(String::new(), u64::from(event.timestamp) * 1_000_000),
        }
    }

    fn commit(&mut self) -> Result<()> {
        if let Some(transaction) = self.transaction.take() {
            self.skip.finish(transaction.event)?;
            self.progress.executed(&transaction.gtid);
            if transaction.captured {
                self.batch.commit_us = self.batch.commit_us.max(transaction.commit_us);
            }
        }
        self.tables.forget();
        self.progress.settle();
        Ok(())
    }

    // Files

    fn rotate(&mut self, event: &Event) -> Result<()> {
        self.check_finished(event)?;
        let between = self.at_boundary();
        if self.progress.rotate(event, between)? {
            self.breathe();
        }
        self.tables.forget();
        Ok(())
    }

    fn heartbeat(&mut self, event: &Event) -> Result<()> {
        self.breathe();
        let between = self.at_boundary();
        self.progress.heartbeat(event, between)
    }

    fn breathe(&mut self) {
        self.idle = true;
        self.progress.breathe();
    }

    // Batches

    fn is_full(&self) -> bool {
        self.batch.rows >= self.config.batch_events || self.batch.bytes >= self.config.batch_bytes
    }

    fn finish_batch(&mut self) -> Batch {
        let transaction = self.transaction.take();
        let batch = self.cut(transaction.as_ref());
        self.transaction = transaction;
        batch
    }

    fn cut(&mut self, transaction: Option<&Transaction>) -> Batch {
        let next = self.batch.next();
        let mut batch = std::mem::replace(&mut self.batch, next);
        if let Some(transaction) = transaction
            && !batch.is_empty()
        {
            batch.commit_us = batch.commit_us.max(transaction.commit_us);
        }
        let open: Option<Open> = self.skip.0.clone().or_else(|| transaction.map(Transaction::open));
        batch.position = self.progress.position(self.seq, open);
        batch
    }
}
