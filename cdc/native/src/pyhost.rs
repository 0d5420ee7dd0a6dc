//! Questions to tidemark's Python code, asked from the reading thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::charset::{Charset, Table};
use crate::column::ColumnSpec;
use crate::fault::{Fault, Foreign, Result};
use crate::host::{Action, Host, Statement, Verdict};
use crate::protect::Protection;
use crate::table::TableSpec;

pub struct PyHost {
    host: Py<PyAny>,
    pub fold_names: Arc<AtomicBool>,
}

#[derive(FromPyObject)]
struct PyColumn(String, u8, usize, bool, usize, usize, usize, u8, String, Vec<String>, String);

#[derive(FromPyObject)]
struct PyTable(String, String, u32, String, u32, Vec<usize>, Vec<PyColumn>, Option<Py<PyAny>>);

#[derive(FromPyObject)]
struct PyCharset(Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>, bool);

#[derive(FromPyObject)]
struct PyVerdict(String, u32, Option<Py<PyAny>>, Vec<Py<PyAny>>, usize, u64);

impl PyHost {
    pub fn new(host: Py<PyAny>) -> PyHost {
        PyHost { host, fold_names: Arc::default() }
    }

    fn ask<T>(&self, question: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<T>) -> Result<T> {
        Python::attach(|py| question(self.host.bind(py))).map_err(|error| Box::new(Fault::Host(Box::new(error))))
    }
}

impl Host for PyHost {
    fn table(&mut self, body: &[u8]) -> Result<Option<TableSpec>> {
        let found: Option<PyTable> =
            self.ask(|host| host.call_method1("table", (PyBytes::new(host.py(), body),))?.extract())?;
        let Some(PyTable(db, name, version, topic, partitions, key, columns, new)) = found else { return Ok(None) };
        let columns = columns.into_iter().map(column).collect::<Result<Vec<_>>>()?;
        let hashed = columns.iter().any(|column| column.protection == Protection::Hashed);
        let hash_key = if hashed { Some(self.ask(|host| host.call_method0("hash_key")?.extract())?) } else { None };
        let new = new.map(|object| Box::new(object) as Foreign);
        Ok(Some(TableSpec { db, name, version, topic, partitions, key, columns, hash_key, new }))
    }

    fn charset(&mut self, name: &str) -> Result<Charset> {
        let PyCharset(singles, doubles, triples, quads, ascii) =
            self.ask(|host| host.call_method1("charset", (name,))?.extract())?;
        Ok(Charset::Table(Box::new(Table {
            singles: codes(&singles),
            doubles: codes(&doubles),
            triples: codes(&triples),
            quads: codes(&quads),
            ascii,
        })))
    }

    fn statement(&mut self, asked: &Statement) -> Result<Verdict> {
        let fold = self.fold_names.load(Ordering::Relaxed);
        let PyVerdict(action, thread, ddl, records, bytes, seq) = self.ask(|host| {
            let origin = (asked.gtid, asked.id, asked.commit_us, asked.server_id, asked.file, asked.start);
            let state = (asked.captured_us, asked.seq, asked.repeated, asked.load, asked.server, fold);
            host.call_method1("statement", (PyBytes::new(host.py(), asked.body), origin, state))?.extract()
        })?;
        Ok(Verdict {
            action: action_named(&action)?,
            thread,
            ddl: ddl.map(|object| Box::new(object) as Foreign),
            records: records.into_iter().map(|object| Box::new(object) as Foreign).collect(),
            bytes,
            seq,
        })
    }

    fn prepared(&mut self, body: &[u8]) -> Result<()> {
        self.ask(|host| host.call_method1("prepared", (PyBytes::new(host.py(), body),)).map(|_| ()))
    }
}

fn action_named(name: &str) -> Result<Action> {
    Ok(match name {
        "begin" => Action::Begin,
        "xa-start" => Action::XaStart,
        "nothing" => Action::Nothing,
        "rollback-to" => Action::RollbackTo,
        "rollback" => Action::Rollback,
        "commit" => Action::Commit,
        "other" => Action::Other,
        other => return Fault::undecodable(format!("the host answered {other}")),
    })
}

fn codes(raw: &[u8]) -> Vec<u32> {
    raw.as_chunks::<4>().0.iter().map(|code| u32::from_le_bytes(*code)).collect()
}

fn column(found: PyColumn) -> Result<ColumnSpec> {
    let PyColumn(name, code, size, unsigned, length, precision, scale, fsp, charset, labels, protection) = found;
    let protection = Protection::named(&protection)?;
    Ok(ColumnSpec { name, code, size, unsigned, length, precision, scale, fsp, charset, labels, protection })
}
