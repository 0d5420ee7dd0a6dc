//! The columns of a batch, and what is known of their keys, for Python.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::seen;
use crate::skim::{Columns, Record};

type Objects<'py> = Vec<Bound<'py, PyAny>>;

/// Keys, values, partitions and offsets of records: how many were read, the columns as buffers, and the places of the
/// records that were not read. They are somebody else's to judge.
#[pyfunction]
pub fn skim<'py>(
    py: Python<'py>,
    keys: Objects<'py>,
    values: Objects<'py>,
    partitions: Vec<i32>,
    offsets: Vec<i64>,
) -> PyResult<(usize, Bound<'py, PyTuple>, Vec<usize>)> {
    let mut places = Vec::new();
    let mut records = Vec::with_capacity(keys.len());
    for (place, (((key, value), partition), offset)) in
        keys.iter().zip(&values).zip(partitions).zip(offsets).enumerate()
    {
        match (key.cast::<PyBytes>(), value.cast::<PyBytes>()) {
            (Ok(key), Ok(value)) => {
                records.push((place, Record { key: key.as_bytes(), value: value.as_bytes(), partition, offset }));
            }
            _ => places.push(place),
        }
    }
    let mut left = Vec::new();
    let columns = py.detach(|| {
        let mut columns = Columns::with_capacity(records.len());
        left.extend(records.iter().filter(|(_, record)| columns.add(record).is_none()).map(|(place, _)| *place));
        columns
    });
    places.append(&mut left);
    places.sort_unstable();
    let rows = columns.rows();
    let buffers = [
        columns.key_ends,
        columns.keys,
        columns.partitions,
        columns.offsets,
        columns.seqs,
        columns.ops,
        columns.times_ms,
        columns.fps,
    ];
    Ok((rows, PyTuple::new(py, buffers.iter().map(|buffer| PyBytes::new(py, buffer)))?, places))
}

/// Keys that were there. `keys`: how many there will be, about; more are no mistake.
#[pyclass]
pub struct Seen(seen::Seen);

#[pymethods]
impl Seen {
    #[new]
    fn new(keys: usize) -> Seen {
        Seen(seen::Seen::new(keys))
    }

    /// Remember the keys of these columns; those that may have been there before. The others certainly were not.
    fn again<'py>(&mut self, py: Python<'py>, key_ends: &[u8], keys: &[u8]) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let mut found = Vec::new();
        let mut begin = 0;
        let (ends, _) = key_ends.as_chunks::<4>();
        for end in ends.iter().skip(1) {
            let end = u32::from_ne_bytes(*end) as usize;
            let key = keys.get(begin..end).ok_or_else(|| PyValueError::new_err("a key ends where there is none"))?;
            if self.0.again(key) {
                found.push(PyBytes::new(py, key));
            }
            begin = end;
        }
        Ok(found)
    }
}
