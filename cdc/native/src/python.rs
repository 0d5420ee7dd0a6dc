//! The module that Python sees.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::batch::Position;
use crate::decoder::{Config, Decoder};
use crate::dump::Source;
use crate::envelope::source_head;
use crate::fault::Fault;
use crate::login::Credentials;
use crate::pybatch::{Batch, Runs};
use crate::pyhost::PyHost;
use crate::queue::Failure;
use crate::reader::{Pace, Reader};
use crate::socket::Address;

pyo3::create_exception!(_native, NativeFault, pyo3::exceptions::PyException, "kind, what, place, number");

/// What `Engine` is made from; the names are those of `NativeSource`.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Options {
    host: String,
    port: u16,
    unix_socket: Option<String>,
    user: String,
    password: Vec<u8>,
    tls: bool,
    ca: Option<Vec<u8>>,
    server_id: u32,
    heartbeat_s: f64,
    connect_timeout_s: f64,
    read_timeout_s: f64,
    linger_s: f64,
    queue_bytes: usize,
    batch_events: u64,
    batch_bytes: usize,
    event_bytes: usize,
    version: String,
    connector: String,
    source_name: String,
    now_us: Option<u64>,
    server_uuid: String,
    gtid_set: String,
    file: String,
    pos: u64,
    seq: u64,
    open: Option<(String, u64, u64)>,
}

fn seconds(value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value).map_err(|error| PyValueError::new_err(error.to_string()))
}

impl Options {
    fn source(&self) -> PyResult<Source> {
        let address = match &self.unix_socket {
            Some(path) => Address::Unix(path.clone()),
            None => Address::Tcp { host: self.host.clone(), port: self.port },
        };
        Ok(Source {
            address,
            credentials: Credentials {
                user: self.user.clone(),
                password: self.password.clone(),
                tls: self.tls,
                ca: self.ca.clone(),
            },
            server_id: self.server_id,
            heartbeat: seconds(self.heartbeat_s)?,
            connect_timeout: seconds(self.connect_timeout_s)?,
            read_timeout: seconds(self.read_timeout_s)?,
        })
    }

    fn config(&self) -> Config {
        let open = self.open.as_ref().map(|(gtid, event, row)| crate::batch::Open {
            gtid: gtid.clone(),
            event: *event,
            row: *row,
        });
        Config {
            source_head: source_head(&self.version, &self.connector, &self.source_name),
            start: Position {
                server_uuid: self.server_uuid.clone(),
                gtid_set: self.gtid_set.clone(),
                file: self.file.clone(),
                pos: self.pos,
                seq: self.seq,
                open,
            },
            batch_events: self.batch_events,
            batch_bytes: self.batch_bytes,
            event_bytes: self.event_bytes,
            now_us: self.now_us,
            no_gtid_before: false,
        }
    }
}

/// Reads from a position on, in a thread of its own.
#[pyclass(frozen)]
struct Engine {
    reader: Reader,
    place: Mutex<String>,
}

#[pymethods]
impl Engine {
    #[new]
    fn new(options: Options, host: Py<PyAny>) -> PyResult<Engine> {
        let (pace, source, config) = (
            Pace { linger: seconds(options.linger_s)?, heartbeat: seconds(options.heartbeat_s)? },
            options.source()?,
            options.config(),
        );
        let host = PyHost::new(host);
        let fold = host.fold_names.clone();
        let know = move |folded| fold.store(folded, std::sync::atomic::Ordering::Relaxed);
        let reader = Reader::start(source, config, pace, Box::new(host), options.queue_bytes, know)?;
        Ok(Engine { reader, place: Mutex::default() })
    }

    /// The next batch; None after the timeout. Raises `NativeFault`, or what the host raised.
    fn get(&self, py: Python<'_>, timeout_s: f64) -> PyResult<Option<Batch>> {
        let timeout = seconds(timeout_s)?;
        match py.detach(|| self.reader.queue.get(timeout)) {
            Ok(batch) => Ok(batch.map(Batch::new)),
            Err(Failure { fault, place, kind }) => {
                if let Ok(mut known) = self.place.lock() {
                    known.clone_from(&place);
                }
                Err(raised(*fault, place, kind))
            }
        }
    }

    /// Where decoding failed; empty if it did not.
    fn place(&self) -> String {
        self.place.lock().map(|known| known.clone()).unwrap_or_default()
    }

    /// Make reading end soon; callable from any thread, more than once.
    fn stop(&self) {
        self.reader.stop();
    }

    /// Stop, and wait for the thread's end.
    fn close(&self, py: Python<'_>) {
        py.detach(|| {
            self.reader.stop();
            self.reader.join();
        });
    }
}

/// Decodes events that are handed in, without a connection: for tests, and for looking at a file.
/// Python may give it up in any thread.
#[pyclass]
struct Replay {
    decoder: Mutex<Decoder>,
}

#[pymethods]
impl Replay {
    #[new]
    fn new(options: Options, host: Py<PyAny>, fold_names: bool, no_gtid_before: bool) -> PyResult<Replay> {
        let host = PyHost::new(host);
        host.fold_names.store(fold_names, std::sync::atomic::Ordering::Relaxed);
        let decoder = Decoder::new(Config { no_gtid_before, ..options.config() }, Box::new(host));
        Ok(Replay { decoder: Mutex::new(decoder.map_err(|fault| raised(*fault, String::new(), 0))?) })
    }

    /// One event, as it comes after the packet's OK byte; gives the batches that it fills.
    fn feed(&mut self, raw: &[u8]) -> PyResult<Vec<Batch>> {
        let mut found = Vec::new();
        let decoder = self.decoder();
        let fed = decoder.feed(raw, &mut |_| Ok(()), &mut |batch| {
            found.push(Batch::new(batch));
            Ok(())
        });
        match fed {
            Ok(()) => Ok(found),
            Err(fault) => Err(raised(*fault, decoder.place(), decoder.kind)),
        }
    }

    /// Where the latest event is.
    fn place(&mut self) -> String {
        self.decoder().place()
    }

    /// What has been gathered; None if there is nothing, or a transaction is open.
    fn take(&mut self) -> Option<Batch> {
        self.decoder().take().map(Batch::new)
    }
}

impl Replay {
    fn decoder(&mut self) -> &mut Decoder {
        // A decoder that panicked is asked for its place at most.
        self.decoder.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

fn raised(fault: Fault, place: String, event: u8) -> PyErr {
    let (kind, what, number) = match fault {
        Fault::Undecodable(what) => ("undecodable", what, u32::from(event)),
        Fault::Unsupported(code) => ("unsupported", String::new(), u32::from(code)),
        Fault::PartialImage => ("partial-image", String::new(), 0),
        Fault::XaRows(table) => ("xa-rows", table, 0),
        Fault::RolledBack => ("rolled-back", String::new(), 0),
        Fault::Unfinished => ("unfinished", String::new(), 0),
        Fault::Incident => ("incident", String::new(), 0),
        Fault::PositionLost { what, hint } => ("position-lost", format!("{what}\n{hint}"), 0),
        Fault::Server { code, text } => ("server", text, u32::from(code)),
        Fault::Refused(what) => ("refused", what, 0),
        Fault::OtherServer(what) => ("other-server", what, 0),
        Fault::Unreachable(what) => ("unreachable", what, 0),
        Fault::Host(found) => match found.downcast::<PyErr>() {
            Ok(error) => return *error,
            Err(_) => ("undecodable", "the host failed".to_owned(), 0),
        },
    };
    NativeFault::new_err((kind, what, place, number))
}

#[pymodule]
mod _native {
    #[pymodule_export]
    use super::{Batch, Engine, NativeFault, Replay, Runs};
}
