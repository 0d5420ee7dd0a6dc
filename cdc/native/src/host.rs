//! What the decoder asks its host about: rare things, answered by tidemark's Python code.

use crate::charset::Charset;
use crate::fault::{Foreign, Result};
use crate::table::TableSpec;

/// A statement, and what has to be known to judge it.
pub struct Statement<'a> {
    pub body: &'a [u8],
    pub load: bool,
    pub server: &'a str,
    pub server_id: u32,
    pub gtid: &'a str,
    pub id: &'a str,
    pub commit_us: u64,
    pub file: &'a str,
    pub start: u64,
    pub captured_us: u64,
    pub seq: u64,
    pub repeated: bool,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Action {
    Begin,
    XaStart,
    Nothing,
    RollbackTo,
    Rollback,
    Commit,
    /// Any other statement: `Verdict.ddl` says whether it matters.
    Other,
}

/// What follows from a statement. `records`: barriers, of `bytes` bytes; `seq`: the highest given out after them.
pub struct Verdict {
    pub action: Action,
    pub thread: u32,
    pub ddl: Option<Foreign>,
    pub records: Vec<Foreign>,
    pub bytes: usize,
    pub seq: u64,
}

pub trait Host: Send {
    /// A TABLE_MAP event; None if the table is not captured.
    fn table(&mut self, body: &[u8]) -> Result<Option<TableSpec>>;
    /// The tables of a character set that is not built in.
    fn charset(&mut self, name: &str) -> Result<Charset>;
    fn statement(&mut self, statement: &Statement) -> Result<Verdict>;
    /// An XA_PREPARE event.
    fn prepared(&mut self, body: &[u8]) -> Result<()>;
}
