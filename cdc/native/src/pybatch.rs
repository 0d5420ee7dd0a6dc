//! Batches as Python takes them: objects are made when they are asked for, run by run.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::batch::{self, Record, Span};
use crate::fault::Foreign;
use crate::pyview::View;

const LARGE: usize = 1 << 20; // a value that is not worth a copy

type OpenTuple = (String, u64, u64);
type Message<'py> = Bound<'py, PyTuple>;
type Value<'py> = Option<Bound<'py, PyAny>>;

/// Encoded records in source order, and what comes with them.
#[pyclass(frozen)]
pub struct Batch {
    inner: batch::Batch,
    buffer: Mutex<Arc<Vec<u8>>>, // `inner` has none
    #[pyo3(get)]
    tables: Vec<Py<PyAny>>,
    #[pyo3(get)]
    tail: Vec<Py<PyAny>>,
    #[pyo3(get)]
    ddl: Option<Py<PyAny>>,
}

fn objects(found: Vec<Foreign>) -> Vec<Py<PyAny>> {
    found.into_iter().filter_map(|object| object.downcast().ok().map(|object| *object)).collect()
}

impl Batch {
    pub fn new(mut inner: batch::Batch) -> Batch {
        let tables = objects(std::mem::take(&mut inner.tables));
        let tail = objects(std::mem::take(&mut inner.tail));
        let ddl = objects(inner.ddl.take().into_iter().collect()).pop();
        let buffer = Mutex::new(Arc::new(std::mem::take(&mut inner.buffer)));
        Batch { inner, buffer, tables, tail, ddl }
    }

    fn bytes(&self) -> Bytes {
        Bytes(self.buffer.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn parts<'py>(&self, py: Python<'py>, number: usize, bytes: &Bytes, value: Value<'py>) -> PyResult<Message<'py>> {
        let record = self.record_at(number)?;
        let mut headers = Vec::new();
        if let Some((name, span)) = &record.header {
            headers.push((name.name(), bytes.object(py, *span)?));
        }
        let headers = PyTuple::new(py, headers)?;
        let topic = &*self.inner.topics[record.topic];
        (topic, record.partition, bytes.object(py, record.key)?, value, headers).into_pyobject(py)
    }

    fn record_at(&self, number: usize) -> PyResult<&Record> {
        self.inner.records.get(number).ok_or_else(|| PyIndexError::new_err("no such record"))
    }
}

/// A batch's buffer; empty when it was given up.
#[derive(Clone)]
struct Bytes(Arc<Vec<u8>>);

impl Bytes {
    fn object<'py>(&self, py: Python<'py>, span: Span) -> PyResult<Bound<'py, PyBytes>> {
        match self.0.get(span.start..span.end) {
            Some(bytes) => Ok(PyBytes::new(py, bytes)),
            None => Err(PyValueError::new_err("the batch's records were released")),
        }
    }
}

#[pymethods]
impl Batch {
    #[getter]
    fn gtid_set(&self) -> &str {
        &self.inner.position.gtid_set
    }

    #[getter]
    fn file(&self) -> &str {
        &self.inner.position.file
    }

    #[getter]
    fn pos(&self) -> u64 {
        self.inner.position.pos
    }

    #[getter]
    fn seq(&self) -> u64 {
        self.inner.position.seq
    }

    /// GTID, rows events and rows of a transaction that is published in part.
    #[getter]
    fn open(&self) -> Option<OpenTuple> {
        self.inner.position.open.clone().map(|open| (open.gtid, open.event, open.row))
    }

    #[getter]
    fn rows(&self) -> u64 {
        self.inner.rows
    }

    #[getter]
    fn size_bytes(&self) -> usize {
        self.inner.bytes
    }

    #[getter]
    fn more(&self) -> bool {
        self.inner.more
    }

    #[getter]
    fn commit_us(&self) -> u64 {
        self.inner.commit_us
    }

    /// What events could not carry as it was: kind, table, columns, how many in all.
    #[getter]
    fn losses(&self) -> Vec<(&'static str, &str, Vec<&str>, usize)> {
        fn told(loss: &batch::Loss) -> (&'static str, &str, Vec<&str>, usize) {
            let kind = match loss.kind {
                batch::LossKind::Omitted => "omitted",
                batch::LossKind::Undecodable => "undecodable",
            };
            (kind, &loss.table, loss.columns.iter().map(String::as_str).collect(), loss.count)
        }
        self.inner.losses.iter().map(told).collect()
    }

    fn __len__(&self) -> usize {
        self.inner.records.len()
    }

    /// One record: topic, partition, key, value or None, headers.
    fn record<'py>(&self, py: Python<'py>, number: usize) -> PyResult<Message<'py>> {
        let bytes = self.bytes();
        let value = self.record_at(number)?.value;
        let value = value.map(|span| bytes.object(py, span)).transpose()?;
        self.parts(py, number, &bytes, value.map(Bound::into_any))
    }

    /// One record whose value, if it is large, is a view of the batch's memory instead of a copy.
    fn message<'py>(&self, py: Python<'py>, number: usize) -> PyResult<Message<'py>> {
        match self.record_at(number)?.value {
            Some(span) if span.len() >= LARGE => {
                let bytes = self.bytes();
                let view = View::new(bytes.0.clone(), span)?.into_pyobject(py)?;
                self.parts(py, number, &bytes, Some(view.into_any()))
            }
            _ => self.record(py, number),
        }
    }

    /// Gives up the records' bytes as soon as no view shows them; what else the batch says remains.
    fn release(&self) {
        *self.buffer.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
    }

    /// Topic -> how many records go there that are no tombstones.
    fn topics(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        let mut counts = vec![0_usize; self.inner.topics.len()];
        for record in &self.inner.records {
            counts[record.topic] += usize::from(record.value.is_some());
        }
        let found = PyDict::new(py);
        for (topic, count) in self.inner.topics.iter().zip(counts) {
            found.set_item(&**topic, count)?;
        }
        Ok(found.unbind())
    }

    /// What `cdc.runs.runs` gives: `(topic, partition, messages)`, and between them the numbers of records that go by
    /// themselves: those with headers, and large ones.
    fn runs(slf: Py<Batch>, py: Python<'_>, longest: usize) -> Runs {
        let topics = slf.get().inner.topics.iter().map(|topic| PyString::new(py, topic).unbind()).collect();
        let key = |text| PyString::intern(py, text).unbind();
        Runs {
            waiting: Vec::new(),
            places: vec![Vec::new(); slf.get().inner.topics.len()],
            names: [key("key"), key("value")],
            topics,
            bytes: slf.get().bytes(),
            batch: slf,
            next: 0,
            longest: longest.max(1),
        }
    }
}

struct Waiting {
    topic: usize,
    partition: u32,
    numbers: Vec<usize>,
}

/// Partitions may overtake one another, records of one partition do not.
#[pyclass]
pub struct Runs {
    batch: Py<Batch>,
    bytes: Bytes,
    topics: Vec<Py<PyString>>,
    names: [Py<PyString>; 2],
    waiting: Vec<Waiting>,
    places: Vec<Vec<Option<usize>>>, // by topic and partition
    next: usize,
    longest: usize,
}

#[pymethods]
impl Runs {
    fn __iter__(slf: Py<Runs>) -> Py<Runs> {
        slf
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        while let Some(record) = self.batch.get().inner.records.get(self.next).copied() {
            let place = self.place(&record);
            let waiting = &mut self.waiting[place].numbers;
            let alone = record.header.is_some() || record.value.is_some_and(|value| value.len() >= LARGE);
            if waiting.len() >= self.longest || (alone && !waiting.is_empty()) {
                return self.run(py, place).map(Some);
            }
            let number = self.next;
            self.next += 1;
            if alone {
                return Ok(Some(number.into_pyobject(py)?.into_any()));
            }
            waiting.push(number);
        }
        match self.waiting.iter().position(|waiting| !waiting.numbers.is_empty()) {
            Some(place) => self.run(py, place).map(Some),
            None => Ok(None),
        }
    }
}

impl Runs {
    fn place(&mut self, record: &Record) -> usize {
        let places = &mut self.places[record.topic];
        let partition = record.partition as usize;
        if places.len() <= partition {
            places.resize(partition + 1, None);
        }
        *places[partition].get_or_insert_with(|| {
            self.waiting.push(Waiting { topic: record.topic, partition: record.partition, numbers: Vec::new() });
            self.waiting.len() - 1
        })
    }

    fn run<'py>(&mut self, py: Python<'py>, place: usize) -> PyResult<Bound<'py, PyAny>> {
        let batch = self.batch.get();
        let messages = PyList::empty(py);
        let Waiting { topic, partition, numbers } = &mut self.waiting[place];
        for number in std::mem::take(numbers) {
            messages.append(message(py, &self.bytes, &batch.inner.records[number], &self.names)?)?;
        }
        (&self.topics[*topic], *partition, messages).into_pyobject(py).map(Bound::into_any)
    }
}

fn message<'py>(
    py: Python<'py>,
    bytes: &Bytes,
    record: &Record,
    names: &[Py<PyString>; 2],
) -> PyResult<Bound<'py, PyDict>> {
    let [key, value] = names;
    let message = PyDict::new(py);
    message.set_item(key, bytes.object(py, record.key)?)?;
    message.set_item(value, record.value.map(|span| bytes.object(py, span)).transpose()?)?;
    Ok(message)
}
