//! Statements: those that frame transactions, and those that the host judges.

use crate::decoder::{Decoder, Emit};
use crate::event::{self, Event};
use crate::fault::{Fault, Result};
use crate::host::{Action, Statement, Verdict};

impl Decoder {
    pub(super) fn query(&mut self, event: &Event, emit: Emit) -> Result<()> {
        let (thread, text) = event::parse_query(event.body)?;
        match text {
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
            Action::Begin | Action::XaStart if transaction.captured => Err(Box::new(Fault::Unfinished)),
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

    pub(super) fn statement(&mut self, event: &Event, load: bool, emit: Emit) -> Result<()> {
        self.ensure_transaction(event)?;
        let captured_us = self.now_us();
        let Some(transaction) = &self.transaction else { return Ok(()) };
        let repeated = self.skip.covers(transaction.event);
        let verdict = self.host.statement(&Statement {
            body: event.body,
            load,
            server: &self.framing.server,
            server_id: event.server_id,
            gtid: &transaction.gtid,
            id: transaction.id(),
            commit_us: transaction.commit_us,
            file: &self.progress.at.file,
            start: self.progress.at.start,
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
}
