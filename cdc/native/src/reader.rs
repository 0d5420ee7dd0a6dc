//! The reading thread: connects, reads, decodes, and decides when a batch that is not full goes out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::decoder::{Config, Decoder};
use crate::dump::{Dump, Source};
use crate::fault::{Fault, Result};
use crate::host::Host;
use crate::queue::{Failure, Queue};
use crate::socket::Closer;

const TICK: Duration = Duration::from_millis(500);
const PATIENCE: u32 = 10; // lingers that a batch waits at most while events keep coming
const STACK_BYTES: usize = 16 << 20; // documents and geometries are read by recursion, to a limit
const LARGE: usize = 4 << 20; // an event that is decoded while no other batch takes memory
const LONGEST_SILENCE: Duration = Duration::from_secs(3); // of ours, or a heartbeat, if that is longer
const LOOK_EVERY: u32 = 64; // events between two looks at the clock while more are at hand

pub struct Pace {
    pub linger: Duration,
    pub heartbeat: Duration,
}

/// A running thread.
pub struct Reader {
    pub queue: Arc<Queue>,
    closer: Arc<Mutex<Option<Closer>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Reader {
    /// `know`: hears whether the server compares names without case, before the first event.
    pub fn start(
        source: Source,
        config: Config,
        pace: Pace,
        host: Box<dyn Host>,
        queue_bytes: usize,
        know: impl FnOnce(bool) + Send + 'static,
    ) -> std::io::Result<Reader> {
        let queue = Arc::new(Queue::new(queue_bytes));
        let closer = Arc::new(Mutex::new(None));
        let (ours, plug) = (queue.clone(), closer.clone());
        let body = move || {
            let mut place = (String::new(), 0);
            let read = AssertUnwindSafe(|| run(&source, config, &pace, host, &ours, &plug, know, &mut place));
            let fault = match catch_unwind(read) {
                Ok(Ok(())) => return ours.close(),
                Ok(Err(fault)) => fault,
                Err(_) => Box::new(Fault::Undecodable("the decoder failed; please report this".into())),
            };
            let (place, kind) = place;
            ours.fail(Failure { fault, place, kind });
        };
        let thread = thread::Builder::new().name("binlog-native".into()).stack_size(STACK_BYTES).spawn(body)?;
        Ok(Reader { queue, closer, thread: Mutex::new(Some(thread)) })
    }

    /// Ends the thread soon, even if the socket is silent; callable from any thread, more than once.
    pub fn stop(&self) {
        self.queue.close();
        if let Some(closer) = self.closer.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            closer.close();
        }
    }

    /// Waits for its end, after `stop`.
    pub fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A panic was caught and told already.
        let _ = thread.map(JoinHandle::join);
    }
}

#[expect(clippy::too_many_arguments, reason = "the thread's whole world, handed over once")]
fn run(
    source: &Source,
    mut config: Config,
    pace: &Pace,
    host: Box<dyn Host>,
    queue: &Queue,
    closer: &Mutex<Option<Closer>>,
    know: impl FnOnce(bool),
    place: &mut (String, u8),
) -> Result<()> {
    let start = config.start.clone();
    let mut dump = Dump::open(source, &start)?;
    *closer.lock().unwrap_or_else(PoisonError::into_inner) = Some(dump.packets.socket.closer()?);
    if queue.is_closed() {
        return Ok(());
    }
    know(dump.facts.fold_names);
    config.no_gtid_before = dump.facts.no_gtid_before;
    dump.start(source.server_id, &start)?;
    let mut decoder = Decoder::new(config, host)?;
    let outcome = read(&mut dump, &mut decoder, pace, queue);
    match outcome {
        Err(_) if queue.is_closed() => Ok(()),
        Err((fault, decoding)) => {
            if decoding {
                *place = (decoder.place(), decoder.kind);
            } else if matches!(*fault, Fault::Undecodable(_)) {
                *place = (decoder.place(), 0); // after the latest event
            }
            Err(fault)
        }
        Ok(()) => Ok(()),
    }
}

/// Until closed. An error says whether it came up in decoding.
fn read(
    dump: &mut Dump,
    decoder: &mut Decoder,
    pace: &Pace,
    queue: &Queue,
) -> std::result::Result<(), (Box<Fault>, bool)> {
    let mut timer = Timer { since: None, last: Instant::now(), events: 0 };
    let mut look = true; // at the clock, and for the other side; not at every event while more are at hand
    while !look || !queue.is_closed() {
        let at_hand = dump.packets.has_more();
        let wait = if at_hand { TICK } else { timer.wait(decoder, pace) };
        let event = dump.next(wait).map_err(|fault| (fault, false))?;
        if let Some(event) = &event {
            let mut emitted = false;
            let raw = dump.packets.bytes(event);
            let mut room = |size| if size <= LARGE || queue.drain() { Ok(()) } else { closed() };
            decoder
                .feed(&raw[1..], &mut room, &mut |batch| {
                    emitted = true;
                    if queue.put(batch) { Ok(()) } else { closed() }
                })
                .map_err(|fault| (fault, true))?;
            if raw.len() > LARGE {
                dump.packets.forget();
            }
            if emitted {
                timer.restart();
            }
            timer.events += 1;
            if at_hand && !dump.packets.was_filled() && !timer.events.is_multiple_of(LOOK_EVERY) {
                look = false;
                continue;
            }
        }
        look = true;
        let rest = if timer.due(decoder, pace, event.is_some()) { decoder.take() } else { None };
        let rest = rest.or_else(|| if timer.is_late(pace) { decoder.interim() } else { None });
        if let Some(rest) = rest {
            queue.put(rest);
            timer.restart();
        }
    }
    Ok(())
}

/// Ends reading; nobody hears of it.
fn closed() -> Result<()> {
    Err(Fault::unreachable("closed"))
}

/// When a batch that is not full goes out: after a linger if nothing comes, at the latest after several.
struct Timer {
    since: Option<Instant>, // when the batch got its first record
    last: Instant,
    events: u32,
}

impl Timer {
    fn restart(&mut self) {
        self.since = None;
        self.last = Instant::now();
    }

    /// How long to wait for the next event.
    fn wait(&mut self, decoder: &Decoder, pace: &Pace) -> Duration {
        if !(decoder.pending() && decoder.at_boundary()) {
            return TICK.min(pace.heartbeat);
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        (since + pace.linger).saturating_duration_since(Instant::now())
    }

    /// True if nothing went out for so long that we would seem to be stuck.
    fn is_late(&self, pace: &Pace) -> bool {
        Instant::now() >= self.last + pace.heartbeat.max(LONGEST_SILENCE)
    }

    /// True if what has been gathered should go; `waiting`: more may be at hand.
    fn due(&mut self, decoder: &mut Decoder, pace: &Pace, waiting: bool) -> bool {
        let now = Instant::now();
        if decoder.pending() {
            let patience = pace.linger * if waiting { PATIENCE } else { 1 };
            return now >= *self.since.get_or_insert(now) + patience;
        }
        let idle = std::mem::take(&mut decoder.idle);
        idle || now >= self.last + pace.heartbeat
    }
}
