//! Rows events: each row of a captured table becomes records in the batch.

use crate::decoder::{Decoder, Emit};
use crate::envelope::{Envelope, Op, Origin};
use crate::event::Event;
use crate::fault::{Fault, Result};
use crate::rows::RowsEvent;
use crate::table::Captured;
use crate::transaction::Transaction;

impl Decoder {
    pub(super) fn rows(&mut self, event: &Event, op: Op, emit: Emit) -> Result<()> {
        let rows = RowsEvent::parse(event, op)?;
        self.ensure_transaction(event)?;
        let captured = rows.table_id.map_or(Ok(None), |id| self.tables.of(id))?;
        let ends_statement = rows.ends_statement;
        let Some(mut transaction) = self.transaction.take() else { return Ok(()) };
        let outcome = match captured {
            Some(captured) => self.captured_rows(rows, event.server_id, &captured, &mut transaction, emit),
            None => {
                self.skip.rows(transaction.event);
                Ok(())
            }
        };
        transaction.next_event(self.in_payload);
        self.transaction = Some(transaction);
        if ends_statement {
            self.tables.forget();
        }
        outcome
    }

    fn captured_rows(
        &mut self,
        mut rows: RowsEvent,
        server_id: u32,
        captured: &Captured,
        transaction: &mut Transaction,
        emit: Emit,
    ) -> Result<()> {
        if transaction.xa {
            return Err(Box::new(Fault::XaRows(captured.full_name.clone())));
        }
        transaction.captured = true;
        let published = self.skip.rows(transaction.event); // None: all of them
        rows.check_columns(captured)?;
        let (head, at, captured_us) = (&self.config.source_head, &self.progress.at, self.now_us());
        let origin = Origin { head, server_id, at, transaction, captured_us };
        let mut envelope = Envelope::new(captured, &origin, self.seq, self.config.event_bytes);
        let mut row = std::mem::take(&mut self.row);
        while rows.next(&mut row, captured, &mut self.batch.buffer)? {
            transaction.row += 1;
            if published.is_none_or(|published| transaction.row <= published) {
                envelope.pass_over(&mut self.batch.buffer, &row, rows.op);
                continue;
            }
            envelope.records(&mut self.batch, &mut row, transaction.first_row + transaction.row - 1, rows.op);
            self.batch.rows += 1;
            if self.is_full() {
                self.seq = envelope.seq;
                emit(self.cut(Some(transaction)))?;
            }
        }
        self.seq = envelope.seq;
        transaction.count(&captured.topic, envelope.total, envelope.order);
        self.row = row;
        Ok(())
    }
}
