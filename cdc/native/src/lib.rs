//! Reads MySQL's binlog and writes change events. `python` is the way in; all the rest knows nothing of Python.

pub mod batch;
pub mod charset;
pub mod column;
pub mod cursor;
pub mod decoder;
pub mod dump;
pub mod envelope;
pub mod event;
pub mod fault;
pub mod framing;
pub mod geometry;
pub mod gtid;
pub mod host;
pub mod json;
pub mod jsonb;
pub mod jsondiff;
pub mod login;
pub mod number;
pub mod packets;
pub mod partition;
pub mod payload;
pub mod progress;
pub mod protect;
pub mod queue;
pub mod reader;
pub mod row;
pub mod rows;
pub mod socket;
pub mod table;
pub mod tables;
pub mod temporal;
pub mod transaction;

#[cfg(feature = "python")]
mod pybatch;
#[cfg(feature = "python")]
mod pyhost;
#[cfg(feature = "python")]
mod python;
#[cfg(feature = "python")]
mod pyview;
