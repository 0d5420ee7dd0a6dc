//! The columns of a batch, for Python.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

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
