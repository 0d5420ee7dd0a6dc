//! The tables that rows events speak of, by the table id of the latest TABLE_MAP.

use std::collections::HashMap;
use std::sync::Arc;

use crate::charset::Charset;
use crate::cursor::Cursor;
use crate::fault::{Fault, Foreign, Result};
use crate::host::Host;
use crate::table::Captured;

const CACHED: usize = 4096;

struct Entry {
    map: Vec<u8>,
    captured: Option<Arc<Captured>>,
    epoch: u64,
}

/// Ids are used again after a restart of the server, and lose their meaning at the end of a statement: what was
/// compiled for one holds as long as the same bytes come with it.
#[derive(Default)]
pub struct Tables {
    ids: HashMap<u64, Entry>,
    epoch: u64,
    latest: HashMap<String, u32>,
    charsets: HashMap<String, Arc<Charset>>,
}

impl Tables {
    /// A TABLE_MAP event. Gives the layout, if it is seen for the first time.
    pub fn map(&mut self, body: &[u8], host: &mut dyn Host) -> Result<Option<Foreign>> {
        let mut cursor = Cursor::new(body);
        let id = cursor.little(6)?;
        cursor.take(2)?;
        let map = cursor.rest();
        if let Some(entry) = self.ids.get_mut(&id)
            && entry.map == map
            && entry.captured.as_ref().is_none_or(|found| self.latest.get(&found.full_name) == Some(&found.version))
        {
            entry.epoch = self.epoch;
            return Ok(None);
        }
        let Some(mut spec) = host.table(body)? else {
            self.ids.insert(id, Entry { map: map.to_vec(), captured: None, epoch: self.epoch });
            return Ok(None);
        };
        let charsets = &mut self.charsets;
        let captured = Captured::compile(&spec, &mut |name| charset(charsets, name, host))?;
        self.latest.insert(captured.full_name.clone(), captured.version);
        self.ids.insert(id, Entry { map: map.to_vec(), captured: Some(Arc::new(captured)), epoch: self.epoch });
        Ok(spec.new.take())
    }

    /// The captured table of an id; None if it is not wanted.
    pub fn of(&self, id: u64) -> Result<Option<Arc<Captured>>> {
        match self.ids.get(&id) {
            Some(entry) if entry.epoch == self.epoch => Ok(entry.captured.clone()),
            _ => Fault::undecodable(format!("rows of table id {id} without a table map before them")),
        }
    }

    /// At the end of a statement, and in a new file.
    pub fn forget(&mut self) {
        self.epoch += 1;
        // Only here: within a statement, several table maps come before the rows of any of them.
        if self.ids.len() >= CACHED {
            self.ids.clear();
        }
    }

    /// What is captured may have changed.
    pub fn ask_again(&mut self) {
        self.ids.clear();
    }
}

fn charset(known: &mut HashMap<String, Arc<Charset>>, name: &str, host: &mut dyn Host) -> Result<Arc<Charset>> {
    if let Some(found) = known.get(name) {
        return Ok(found.clone());
    }
    let made = Arc::new(match Charset::built_in(name) {
        Some(built_in) => built_in,
        None => host.charset(name)?,
    });
    known.insert(name.to_owned(), made.clone());
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Statement, Verdict};
    use crate::table::TableSpec;

    /// Captures nothing.
    struct Deaf;

    impl Host for Deaf {
        fn table(&mut self, _body: &[u8]) -> Result<Option<TableSpec>> {
            Ok(None)
        }

        fn charset(&mut self, _name: &str) -> Result<Charset> {
            Ok(Charset::Utf8)
        }

        fn statement(&mut self, _statement: &Statement) -> Result<Verdict> {
            Fault::undecodable("no statement is expected")
        }

        fn prepared(&mut self, _body: &[u8]) -> Result<()> {
            Ok(())
        }
    }

    fn map(tables: &mut Tables, id: usize) {
        let body = [&id.to_le_bytes()[..6], b"\x01\0what follows"].concat();
        assert!(tables.map(&body, &mut Deaf).is_ok_and(|new| new.is_none()));
    }

    #[test]
    fn the_ids_of_a_statement_stay_until_it_ends() {
        for seen in CACHED - 3..CACHED + 3 {
            let mut tables = Tables::default();
            for id in 0..seen {
                map(&mut tables, id);
                tables.forget();
            }
            for id in [1_000_000, 0, 1_000_001, 1_000_002] {
                map(&mut tables, id);
            }
            for id in [1_000_000, 0, 1_000_001, 1_000_002] {
                assert!(tables.of(id).is_ok(), "{id} after {seen} ids");
            }
            tables.forget();
            assert!(tables.of(0).is_err());
            assert!(tables.ids.len() < CACHED);
        }
    }
}
