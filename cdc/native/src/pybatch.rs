//! Batches as Python takes them: objects are made when they are asked for, run by run.

use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::batch::{self, Record, Span};
use crate::fault::Foreign;

type OpenTuple = (String, u64, u64);

/// Encoded records in source order, and what comes with them.
#[pyclass(frozen)]
pub struct Batch {
    inner: batch::Batch,
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
        Batch { inner, tables, tail, ddl }
    }

    fn object<'py>(&self, py: Python<'py>, span: Span) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.inner.bytes_of(span))
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
    fn record<'py>(&self, py: Python<'py>, number: usize) -> PyResult<Bound<'py, PyTuple>> {
        let Some(record) = self.inner.records.get(number) else {
            return Err(PyIndexError::new_err("no such record"));
        };
        let value = record.value.map(|span| self.object(py, span));
        let headers: Vec<_> = record.header.iter().map(|(name, span)| (name.name(), self.object(py, *span))).collect();
        (
            &*self.inner.topics[record.topic],
            record.partition,
            self.object(py, record.key),
            value,
            PyTuple::new(py, headers)?,
        )
            .into_pyobject(py)
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

    /// What `cdc.runs.runs` gives: `(topic, partition, messages)`, and between them the numbers of records with headers.
    fn runs(slf: Py<Batch>, py: Python<'_>, longest: usize) -> Runs {
        let topics = slf.get().inner.topics.iter().map(|topic| PyString::new(py, topic).unbind()).collect();
        let key = |text| PyString::intern(py, text).unbind();
        Runs {
            waiting: Vec::new(),
            places: vec![Vec::new(); slf.get().inner.topics.len()],
            names: [key("key"), key("value")],
            topics,
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
            if waiting.len() >= self.longest || (record.header.is_some() && !waiting.is_empty()) {
                return self.run(py, place).map(Some);
            }
            let number = self.next;
            self.next += 1;
            if record.header.is_some() {
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
            messages.append(message(py, batch, &batch.inner.records[number], &self.names)?)?;
        }
        (&self.topics[*topic], *partition, messages).into_pyobject(py).map(Bound::into_any)
    }
}

fn message<'py>(
    py: Python<'py>,
    batch: &Batch,
    record: &Record,
    names: &[Py<PyString>; 2],
) -> PyResult<Bound<'py, PyDict>> {
    let [key, value] = names;
    let message = PyDict::new(py);
    message.set_item(key, batch.object(py, record.key))?;
    message.set_item(value, record.value.map(|span| batch.object(py, span)))?;
    Ok(message)
}
