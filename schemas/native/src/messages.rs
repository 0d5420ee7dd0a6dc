//! What is read of confluent_kafka's `Message` objects.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};

use crate::scan::whole;

/// A record's parts, as objects that its message holds already. `value` is None for a tombstone.
pub struct Message<'py> {
    pub key: Bound<'py, PyBytes>,
    pub value: Option<Bound<'py, PyBytes>>,
    pub offset: Bound<'py, PyAny>,
}

impl<'py> Message<'py> {
    /// None for a record without a key, which is none of ours.
    pub fn of(message: &Bound<'py, PyAny>) -> PyResult<Option<Message<'py>>> {
        let py = message.py();
        let key: Option<Bound<'py, PyBytes>> = message.call_method0(intern!(py, "key"))?.extract()?;
        let value = message.call_method0(intern!(py, "value"))?.extract()?;
        let offset = message.call_method0(intern!(py, "offset"))?;
        Ok(key.map(|key| Message { key, value, offset }))
    }
}

/// The seq of a tombstone; None if there is none that can be read.
pub fn seq_of_tombstone(message: &Bound<'_, PyAny>, name: &Bound<'_, PyString>) -> PyResult<Option<u64>> {
    let headers: Option<Vec<Bound<'_, PyTuple>>> = message.call_method0(intern!(message.py(), "headers"))?.extract()?;
    for header in headers.into_iter().flatten() {
        if header.get_item(0)?.eq(name)? {
            let value = header.get_item(1)?;
            return Ok(value.cast::<PyBytes>().ok().and_then(|text| whole(text.as_bytes())));
        }
    }
    Ok(None)
}
