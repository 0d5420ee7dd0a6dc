//! A rows event: its head, and one row after the other.

use crate::cursor::Cursor;
use crate::envelope::Op;
use crate::event::{Event, kind};
use crate::fault::{Fault, Result};
use crate::json;
use crate::row::{AFTER, BEFORE, Row};
use crate::table::Captured;

const NO_TABLE: u64 = 0xff_ffff; // a rows event without rows, there only for its end-of-statement flag
const STATEMENT_END: u16 = 1;

pub struct RowsEvent<'a> {
    /// None if it has no rows.
    pub table_id: Option<u64>,
    pub op: Op,
    pub ends_statement: bool,
    partial: bool,
    cursor: Cursor<'a>,
}

impl<'a> RowsEvent<'a> {
    pub fn parse(event: &Event<'a>, op: Op) -> Result<RowsEvent<'a>> {
        let mut cursor = Cursor::new(event.body);
        let (table_id, flags) = (cursor.little(6)?, cursor.u16()?);
        if event.kind >= kind::WRITE_ROWS {
            let extra = cursor.u16()?; // its own two bytes included
            cursor.take(usize::from(extra).saturating_sub(2))?;
        }
        Ok(RowsEvent {
            table_id: (table_id != NO_TABLE).then_some(table_id),
            op,
            ends_statement: flags & STATEMENT_END != 0,
            partial: event.kind == kind::PARTIAL_UPDATE_ROWS,
            cursor,
        })
    }

    /// The part before the first row: every column has to be there.
    pub fn check_columns(&mut self, captured: &Captured) -> Result<()> {
        let count = self.cursor.packed()?;
        let columns = captured.columns.len();
        if columns == 0 {
            return Fault::undecodable("rows of a table without columns");
        }
        if count != columns as u64 {
            return Fault::undecodable(format!("a rows event has {count} columns, its table map {columns}"));
        }
        for _ in 0..if self.op == Op::Update { 2 } else { 1 } {
            let bitmap = self.cursor.take(captured.bitmap_bytes())?;
            if !(0..columns).all(|number| bitmap[number / 8] >> (number % 8) & 1 == 1) {
                return Err(Box::new(Fault::PartialImage));
            }
        }
        Ok(())
    }

    /// The next row, behind what is in `out`; false if there is none.
    pub fn next(&mut self, row: &mut Row, captured: &Captured, out: &mut Vec<u8>) -> Result<bool> {
        if self.cursor.is_empty() {
            return Ok(false);
        }
        let Row { start, before, after, undecodable } = row;
        undecodable.clear();
        *start = out.len();
        let logged = self.cursor.rest();
        out.extend_from_slice(BEFORE);
        if self.op == Op::Create {
            out.extend_from_slice(json::NULL);
        } else {
            captured.image(&mut self.cursor, out, before, undecodable)?;
        }
        out.extend_from_slice(AFTER);
        if self.op == Op::Delete {
            out.extend_from_slice(json::NULL);
        } else if self.partial {
            let logged = &logged[..logged.len() - self.cursor.rest().len()];
            captured.partial_image(&mut self.cursor, logged, out, after, undecodable)?;
        } else {
            captured.image(&mut self.cursor, out, after, undecodable)?;
        }
        undecodable.sort_unstable();
        Ok(true)
    }
}
