//! The engine's core: binlog events in, batches out. No I/O.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::batch::{Batch, Open, Position};
use crate::cursor::Cursor;
use crate::envelope::{Envelope, Op, Origin, Row};
use crate::event::{self, ARTIFICIAL_FLAG, Event, IGNORABLE_FLAG, kind};
use crate::fault::{Fault, Result};
use crate::gtid::{self, GtidSet};
use crate::host::{Action, Host, Statement, Verdict};
use crate::payload;
use crate::table::Captured;
use crate::tables::Tables;
use crate::transaction::{Coordinates, Skip, Transaction, is_behind};

pub const FARTHEST_START: u64 = (1 << 32) - 1;
const NO_TABLE: u64 = 0xff_ffff; // a rows event without rows, there only for its end-of-statement flag
const STATEMENT_END: u16 = 1;

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
    gtids: GtidSet,
    first: bool, // no transaction has ended yet, begun by file
    resumable: (String, u64),
    resumable_moved: bool,
    pass_until: u64,
    at: Coordinates,
    seq: u64,
    skip: Skip,
    tables: Tables,
    transaction: Option<Transaction>,
    checksum: Option<bool>, // unknown until the first FORMAT_DESCRIPTION
    server: String,
    batch: Batch,
    moved: bool,
    row: Row,
    pub idle: bool,
    /// The type of the latest event, for messages.
    pub kind: u8,
}

impl Decoder {
    pub fn new(config: Config, host: Box<dyn Host>) -> Result<Decoder> {
        let start = &config.start;
        // A dump cannot be asked to start past 4 GiB: then it starts at the file's beginning, and this much is passed.
        let far = start.gtid_set.is_empty() && start.pos > FARTHEST_START;
        Ok(Decoder {
            host,
            gtids: GtidSet::parse(&start.gtid_set)?,
            first: start.gtid_set.is_empty(),
            resumable: (start.file.clone(), start.pos),
            resumable_moved: false,
            pass_until: if far { start.pos } else { 0 },
            at: Coordinates { file: start.file.clone(), start: start.pos, end: start.pos },
            seq: start.seq,
            skip: Skip(start.open.clone()),
            tables: Tables::default(),
            transaction: None,
            checksum: None,
            server: String::new(),
            batch: Batch::default(),
            moved: false,
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
            Some(found) if !found.gtid.is_empty() => format!("{}, transaction {}", self.at, found.gtid),
            _ => self.at.to_string(),
        }
    }

    /// One event, as it comes after the packet's OK byte.
    pub fn feed(&mut self, raw: &[u8], emit: Emit) -> Result<()> {
        let event = self.parse(raw)?;
        self.kind = event.kind;
        self.at.advance(&event);
        if self.at.end <= self.pass_until && !matches!(event.kind, kind::ROTATE | kind::FORMAT_DESCRIPTION) {
            return Ok(());
        }
        if event.kind == kind::TRANSACTION_PAYLOAD {
            return payload::each(event.body, &mut |raw| {
                let inner = event::parse(raw, false)?;
                self.handle(&inner, emit)
            });
        }
        self.handle(&event, emit)
    }

    /// What has been gathered, or a moved position; None if there is neither, or a transaction is open.
    pub fn take(&mut self) -> Option<Batch> {
        let something = self.pending() || !self.batch.tables.is_empty() || self.moved || self.resumable_moved;
        (self.at_boundary() && something).then(|| self.finish_batch())
    }

    /// After a statement was dealt with: what is captured may have changed.
    pub fn ask_again(&mut self) {
        self.tables.ask_again();
    }

    fn parse<'a>(&mut self, raw: &'a [u8]) -> Result<Event<'a>> {
        if raw.get(4) == Some(&kind::FORMAT_DESCRIPTION) {
            let event = event::parse(raw, event::has_checksum(raw))?;
            let (server, checksum) = event::parse_format_description(raw)?;
            self.server = server;
            self.checksum = Some(checksum);
            self.tables.forget();
            return Ok(event);
        }
        // unknown: the fake ROTATE that comes first
        event::parse(raw, self.checksum.unwrap_or_else(|| event::has_checksum(raw)))
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
            kind::FORMAT_DESCRIPTION
            | kind::STOP
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
        let commit_us = if found.commit_us > 0 { found.commit_us } else { u64::from(event.timestamp) * 1_000_000 };
        self.begin(found.text, commit_us)
    }

    fn begin(&mut self, gtid: String, commit_us: u64) -> Result<()> {
        self.skip.begin(&gtid)?;
        self.transaction = Some(Transaction::new(gtid, commit_us, self.at.to_string()));
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
            self.executed(&transaction.gtid);
            if transaction.captured {
                self.batch.commit_us = self.batch.commit_us.max(transaction.commit_us);
            }
        }
        self.tables.forget();
        let pos = self.at.end;
        self.set_resumable(None, pos);
        Ok(())
    }

    /// Begun by file in mid-history, it stays so: a set without a beginning would ask for all of it again.
    fn executed(&mut self, gtid: &str) {
        let first = std::mem::take(&mut self.first);
        if !gtid.is_empty() && (!self.gtids.is_empty() || (first && self.config.no_gtid_before)) {
            self.gtids.add(gtid);
            self.moved = true;
        }
    }

    /// `file`: another one than that of the latest event.
    fn set_resumable(&mut self, file: Option<&str>, pos: u64) {
        let file = file.unwrap_or(&self.at.file);
        if self.resumable.0 != file {
            self.resumable.0 = file.to_owned();
            self.resumable_moved = true;
        }
        self.resumable_moved |= self.resumable.1 != pos;
        self.resumable.1 = pos;
    }

    /// Nothing of interest up to there. Asked by GTID, the dump goes over what is long done: that is no move.
    fn pass(&mut self, file: &str, pos: u64) {
        if self.transaction.is_none() && !is_behind(file, pos, &self.resumable.0, self.resumable.1) {
            self.set_resumable(Some(file), pos);
        }
    }

    // Files

    fn rotate(&mut self, event: &Event) -> Result<()> {
        let (file, pos) = event::parse_rotate(event.body)?;
        if event.flags & ARTIFICIAL_FLAG != 0 {
            // made up by the dump thread to name the file; nothing was read
            self.breathe();
            if file != self.at.file || pos < self.at.end {
                self.at.rotate(file, pos);
            }
        } else {
            self.pass(&file, pos);
            self.at.rotate(file, pos);
        }
        self.tables.forget();
        Ok(())
    }

    /// Nothing was logged for a while, or what was is in our GTID set: all up to there has been read.
    fn heartbeat(&mut self, event: &Event) -> Result<()> {
        self.breathe();
        let file = event::text(event.body)?;
        let pos = u64::from(event.log_pos);
        let behind = file == self.at.file && pos < self.at.end;
        if pos > 0 && !behind {
            self.pass(&file, pos);
            self.at.rotate(file, pos);
        }
        Ok(())
    }

    /// The stream flows though nothing comes: a batch says so, even where the position has not moved.
    fn breathe(&mut self) {
        self.idle = true;
        self.moved = true;
    }

    // Rows

    fn rows(&mut self, event: &Event, op: Op, emit: Emit) -> Result<()> {
        let mut cursor = Cursor::new(event.body);
        let (table_id, flags) = (cursor.little(6)?, cursor.u16()?);
        if event.kind >= kind::WRITE_ROWS {
            let extra = cursor.u16()?; // its own two bytes included
            cursor.take(usize::from(extra).saturating_sub(2))?;
        }
        self.ensure_transaction(event)?;
        let captured = if table_id == NO_TABLE { None } else { self.tables.of(table_id)? };
        let Some(transaction) = &mut self.transaction else { return Ok(()) };
        let published = self.skip.rows(transaction.event);
        if let Some(captured) = captured {
            if transaction.xa {
                return Err(Box::new(Fault::XaRows(captured.full_name.clone())));
            }
            transaction.captured = true;
            self.captured_rows(event, cursor, op, &captured, published, emit)?;
        }
        if let Some(transaction) = &mut self.transaction {
            transaction.event += 1;
            transaction.row = 0;
        }
        if flags & STATEMENT_END != 0 {
            self.tables.forget();
        }
        Ok(())
    }

    fn captured_rows(
        &mut self,
        event: &Event,
        mut cursor: Cursor,
        op: Op,
        captured: &Captured,
        published: Option<u64>,
        emit: Emit,
    ) -> Result<()> {
        check_columns(&mut cursor, op, captured)?;
        let captured_us = self.now_us();
        let Some(mut transaction) = self.transaction.take() else { return Ok(()) };
        let origin = Origin {
            head: &self.config.source_head,
            server_id: event.server_id,
            at: &self.at,
            transaction: &transaction,
            captured_us,
        };
        let mut envelope = Envelope::new(captured, &origin, self.seq, self.config.event_bytes);
        let mut row = std::mem::take(&mut self.row);
        let mut number = 0;
        let mut outcome = Ok(());
        while outcome.is_ok() && !cursor.is_empty() {
            outcome = read_row(&mut row, &mut cursor, op, event.kind == kind::PARTIAL_UPDATE_ROWS, captured);
            if outcome.is_err() {
                break;
            }
            number += 1;
            if published.is_none_or(|published| number <= published) {
                envelope.pass_over(&row, op);
                continue;
            }
            envelope.records(&mut self.batch, &row, number - 1, op);
            self.batch.rows += 1;
            transaction.row = number;
            if self.batch.rows >= self.config.batch_events || self.batch.bytes >= self.config.batch_bytes {
                self.seq = envelope.seq;
                let full = self.cut(Some(&transaction));
                outcome = emit(full);
            }
        }
        self.seq = envelope.seq;
        transaction.total = envelope.total;
        match transaction.orders.get_mut(&captured.full_name) {
            Some(order) => *order = envelope.order,
            None => {
                transaction.orders.insert(captured.full_name.clone(), envelope.order);
            }
        }
        self.row = row;
        self.transaction = Some(transaction);
        outcome
    }

    // Statements

    fn query(&mut self, event: &Event, emit: Emit) -> Result<()> {
        let mut cursor = Cursor::new(event.body);
        let thread = cursor.u32()?;
        cursor.take(4)?;
        let db = usize::from(cursor.u8()?);
        cursor.take(2)?;
        let status = usize::from(cursor.u16()?);
        cursor.take(status + db + 1)?;
        match cursor.rest() {
            b"BEGIN" => {
                self.ensure_transaction(event)?;
                self.act(Action::Begin, thread)
            }
            b"COMMIT" => {
                self.ensure_transaction(event)?;
                self.act(Action::Commit, thread)
            }
            _ => self.statement(event, false, emit),
        }
    }

    fn act(&mut self, action: Action, thread: u32) -> Result<()> {
        let Some(transaction) = &mut self.transaction else { return Ok(()) };
        transaction.thread = thread;
        match action {
            Action::Begin | Action::XaStart => {
                transaction.begun = true;
                transaction.xa = action == Action::XaStart;
                Ok(())
            }
            Action::Rollback | Action::RollbackTo if transaction.captured => Err(Box::new(Fault::RolledBack)),
            Action::Commit | Action::Rollback => self.commit(),
            Action::RollbackTo | Action::Nothing | Action::Other => Ok(()),
        }
    }

    fn statement(&mut self, event: &Event, load: bool, emit: Emit) -> Result<()> {
        self.ensure_transaction(event)?;
        let captured_us = self.now_us();
        let Some(transaction) = &self.transaction else { return Ok(()) };
        let repeated = self.skip.covers(transaction.event);
        let verdict = self.host.statement(&Statement {
            body: event.body,
            load,
            server: &self.server,
            server_id: event.server_id,
            gtid: &transaction.gtid,
            id: &transaction.id,
            commit_us: transaction.commit_us,
            file: &self.at.file,
            start: self.at.start,
            captured_us,
            seq: self.seq,
            repeated,
        })?;
        self.act(verdict.action, verdict.thread)?;
        if verdict.action == Action::Other { self.table_change(verdict, repeated, emit) } else { Ok(()) }
    }

    fn table_change(&mut self, verdict: Verdict, repeated: bool, emit: Emit) -> Result<()> {
        let matters = verdict.ddl.is_some() && !repeated;
        if matters {
            self.batch.tail = verdict.records;
            self.batch.bytes += verdict.bytes;
            self.seq = verdict.seq;
        }
        if self.transaction.as_ref().is_some_and(|transaction| !transaction.begun) {
            self.commit()?; // a statement of its own is a transaction of its own
        }
        if matters {
            self.batch.ddl = verdict.ddl;
            let batch = self.finish_batch();
            emit(batch)?;
            self.ask_again();
        }
        Ok(())
    }

    // Batches

    fn finish_batch(&mut self) -> Batch {
        let transaction = self.transaction.take();
        let batch = self.cut(transaction.as_ref());
        self.transaction = transaction;
        batch
    }

    fn cut(&mut self, transaction: Option<&Transaction>) -> Batch {
        let next = Batch::with_capacity(self.batch.buffer.len().min(1 << 24));
        let mut batch = std::mem::replace(&mut self.batch, next);
        if let Some(transaction) = transaction
            && !batch.is_empty()
        {
            batch.commit_us = batch.commit_us.max(transaction.commit_us);
        }
        let (file, pos) = self.resumable.clone();
        let open: Option<Open> = self.skip.0.clone().or_else(|| transaction.map(Transaction::open));
        batch.position =
            Position { server_uuid: String::new(), gtid_set: self.gtids.to_string(), file, pos, seq: self.seq, open };
        self.moved = false;
        self.resumable_moved = false;
        batch
    }
}

fn check_columns(cursor: &mut Cursor, op: Op, captured: &Captured) -> Result<()> {
    let count = cursor.packed()?;
    let columns = captured.columns.len();
    if count != columns as u64 {
        return Fault::undecodable(format!("a rows event has {count} columns, its table map {columns}"));
    }
    for _ in 0..if op == Op::Update { 2 } else { 1 } {
        let bitmap = cursor.take(captured.bitmap_bytes())?;
        if !(0..columns).all(|number| bitmap[number / 8] >> (number % 8) & 1 == 1) {
            return Err(Box::new(Fault::PartialImage));
        }
    }
    Ok(())
}

fn read_row(row: &mut Row, cursor: &mut Cursor, op: Op, partial: bool, captured: &Captured) -> Result<()> {
    let Row { buffer, before, after, undecodable } = row;
    buffer.clear();
    undecodable.clear();
    let start = cursor.rest();
    if op != Op::Create {
        captured.image(cursor, buffer, before, undecodable)?;
    }
    if partial {
        let logged = &start[..start.len() - cursor.rest().len()];
        captured.partial_image(cursor, logged, buffer, after, undecodable)?;
    } else if op != Op::Delete {
        captured.image(cursor, buffer, after, undecodable)?;
    }
    undecodable.sort_unstable();
    if captured.columns.is_empty() {
        return Fault::undecodable("rows of a table without columns");
    }
    Ok(())
}
