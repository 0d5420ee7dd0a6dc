//! Reads the records of a change topic by the thousand. `python` is the way in; what it does not need knows nothing of
//! Python.

pub mod document;
pub mod event;
pub mod key;
pub mod newest;
pub mod scan;
pub mod seen;
pub mod skim;

#[cfg(feature = "python")]
mod intake;
#[cfg(feature = "python")]
mod messages;
#[cfg(feature = "python")]
mod pyskim;
#[cfg(feature = "python")]
mod python;
