//! What can go wrong. Python turns each into one of tidemark's errors.

use std::any::Any;
use std::fmt;

pub type Result<T> = std::result::Result<T, Box<Fault>>;

/// Something of the host's (a Python object or exception) that only passes through.
pub type Foreign = Box<dyn Any + Send + Sync>;

pub enum Fault {
    /// Bytes that cannot be decoded faithfully.
    Undecodable(String),
    /// An event type that must not be passed over.
    Unsupported(u8),
    /// A row event with only some of the columns.
    PartialImage,
    /// Rows of the named captured table inside an XA transaction.
    XaRows(String),
    /// A rollback after rows of captured tables.
    RolledBack,
    /// Something else comes where the end of a transaction with rows of captured tables is due.
    Unfinished,
    /// The server says that changes are missing.
    Incident,
    /// What was published in part is not what comes.
    PositionLost { what: String, hint: &'static str },
    /// An ERR packet.
    Server { code: u16, text: String },
    /// TLS that fails, or an authentication that we do not speak.
    Refused(String),
    /// The address leads to another server than the position's.
    OtherServer(String),
    /// The connection was lost; worth another try.
    Unreachable(String),
    /// Raised by the host's own code.
    Host(Foreign),
}

impl Fault {
    pub fn undecodable<T>(what: impl Into<String>) -> Result<T> {
        Err(Box::new(Fault::Undecodable(what.into())))
    }

    pub fn unreachable(what: impl fmt::Display) -> Box<Fault> {
        Box::new(Fault::Unreachable(what.to_string()))
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Undecodable(what) => write!(f, "undecodable: {what}"),
            Fault::Unsupported(code) => write!(f, "unsupported event {code}"),
            Fault::PartialImage => write!(f, "partial image"),
            Fault::XaRows(table) => write!(f, "rows of {table} in an XA transaction"),
            Fault::RolledBack => write!(f, "rolled back"),
            Fault::Unfinished => write!(f, "unfinished"),
            Fault::Incident => write!(f, "incident"),
            Fault::PositionLost { what, .. } => write!(f, "position lost: {what}"),
            Fault::Server { code, text } => write!(f, "server says {code}: {text}"),
            Fault::Refused(what) => write!(f, "refused: {what}"),
            Fault::OtherServer(what) => write!(f, "other server: {what}"),
            Fault::Unreachable(what) => write!(f, "unreachable: {what}"),
            Fault::Host(_) => write!(f, "raised by the host"),
        }
    }
}
