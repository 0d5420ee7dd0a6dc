//! Records of one partition for the lanes of a sink, as `sink.share` makes them.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyList, PyString, PyTuple};

use crate::document::{self, Origin, Place};
use crate::messages::{Message, seq_of_tombstone};
use crate::{event, key, newest};

/// A share of the records: columns, of which objects are made at the end.
#[derive(Default)]
struct Lane<'py> {
    offsets: Vec<Bound<'py, PyAny>>,
    seqs: Vec<Bound<'py, PyInt>>,
    keys: Vec<Bound<'py, PyBytes>>,
    values: Vec<Bound<'py, PyBytes>>,
    value_sizes: Vec<isize>,
    lines: Vec<u8>,
    line_sizes: Vec<usize>,
}

impl<'py> Lane<'py> {
    fn columns(self, py: Python<'py>, newest_ms: u64) -> PyResult<Bound<'py, PyTuple>> {
        (
            PyList::new(py, self.offsets)?,
            PyList::new(py, self.seqs)?,
            PyList::new(py, self.keys)?,
            joined(py, &self.values)?,
            PyList::new(py, self.value_sizes)?,
            PyBytes::new(py, &self.lines),
            PyList::new(py, self.line_sizes)?,
            newest_ms,
        )
            .into_pyobject(py)
    }
}

/// What is known before records are read. `index`, `delete`, `block`: see `Origin`. `floor`: every seq is higher;
/// `version`: the latest that is known of the table; `seq_header`: a tombstone's.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct About<'py> {
    index: Bound<'py, PyBytes>,
    delete: Bound<'py, PyBytes>,
    block: Bound<'py, PyBytes>,
    partition: u32,
    floor: u64,
    version: u64,
    lanes: usize,
    seq_header: Bound<'py, PyString>,
}

/// The columns of every lane's share; offset and seq of all records, in order.
type Found<'py> = (Vec<Bound<'py, PyTuple>>, Vec<Bound<'py, PyTuple>>);

/// None if there is a record that needs a closer look.
#[pyfunction]
pub fn intake<'py>(messages: Vec<Bound<'py, PyAny>>, about: About<'py>) -> PyResult<Option<Found<'py>>> {
    let py = about.index.py();
    let Some(found) = messages.iter().map(Message::of).collect::<PyResult<Option<Vec<_>>>>()? else { return Ok(None) };
    let hashes = found.iter().map(|message| message.key.hash()).collect::<PyResult<Vec<_>>>()?;
    let last = newest::last(found.iter().zip(&hashes).map(|(message, hash)| (*hash as u64, message.key.as_bytes())));
    let origin = Origin {
        index: about.index.as_bytes(),
        delete: about.delete.as_bytes(),
        block: about.block.as_bytes(),
        partition: about.partition,
    };
    let mut lanes: Vec<Lane<'py>> = (0..about.lanes).map(|_| Lane::default()).collect();
    let mut opened = Vec::with_capacity(found.len());
    let mut newest_ms = 0;
    for (number, message) in found.into_iter().enumerate() {
        let lane = &mut lanes[hashes[number].rem_euclid(about.lanes as isize) as usize];
        let before = lane.lines.len();
        let offset: u64 = message.offset.extract()?;
        let read = match &message.value {
            Some(value) => row(&about, value.as_bytes()),
            None => seq_of_tombstone(&messages[number], &about.seq_header)?.map(|seq| (seq, 0, None)),
        };
        let Some((seq, ts_ms, row)) = read.filter(|(seq, _, _)| *seq > about.floor) else { return Ok(None) };
        let place = Place { offset, seq, ts_ms };
        if last[number] && lines(&mut lane.lines, &origin, message.key.as_bytes(), row, place).is_none() {
            return Ok(None);
        }
        let seq = seq.into_pyobject(py)?;
        opened.push((&message.offset, &seq).into_pyobject(py)?);
        lane.offsets.push(message.offset);
        lane.seqs.push(seq);
        lane.keys.push(message.key);
        lane.line_sizes.push(lane.lines.len() - before);
        lane.value_sizes.push(message.value.as_ref().map_or(-1, |value| value.as_bytes().len() as isize));
        if let Some(value) = message.value {
            lane.values.push(value);
            newest_ms = ts_ms;
        }
    }
    let lanes = lanes.into_iter().map(|lane| lane.columns(py, newest_ms)).collect::<PyResult<_>>()?;
    Ok(Some((lanes, opened)))
}

fn joined<'py>(py: Python<'py>, values: &[Bound<'py, PyBytes>]) -> PyResult<Bound<'py, PyBytes>> {
    let size = values.iter().map(|value| value.as_bytes().len()).sum();
    PyBytes::new_with(py, size, |mut room| {
        for value in values {
            let (place, rest) = room.split_at_mut(value.as_bytes().len());
            place.copy_from_slice(value.as_bytes());
            room = rest;
        }
        Ok(())
    })
}

/// An event's seq, commit time and row, which a delete has not.
fn row<'a>(about: &About<'_>, value: &'a [u8]) -> Option<(u64, u64, Option<&'a [u8]>)> {
    let event = event::read(value)?;
    (event.table_version <= about.version && !event.renamed && event.after != Some(b"{}")).then_some(())?;
    Some((event.seq, event.ts_ms, event.after))
}

fn lines(lines: &mut Vec<u8>, origin: &Origin<'_>, key: &[u8], row: Option<&[u8]>, place: Place) -> Option<()> {
    let text = key::text(key)?;
    let id = document::id(&text)?;
    match row {
        Some(row) => origin.index(lines, &text, &id, row, place),
        None => origin.delete(lines, &id, place.seq),
    }
    Some(())
}
