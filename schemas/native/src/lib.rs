//! Reads the records of a change topic by the thousand. `python` is the way in; all the rest knows nothing of Python.

pub mod event;
pub mod key;
pub mod scan;

#[cfg(feature = "python")]
mod python;
