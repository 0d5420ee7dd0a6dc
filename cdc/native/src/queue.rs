//! Batches between the reading thread and the publishing one, bounded in bytes.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::batch::Batch;
use crate::fault::Fault;

/// Why reading ended, where, and at an event of which type; 0 if it was not in decoding.
pub struct Failure {
    pub fault: Box<Fault>,
    pub place: String,
    pub kind: u8,
}

#[derive(Default)]
struct State {
    batches: VecDeque<Batch>,
    weight: usize,
    failure: Option<Failure>,
    /// A batch was taken, and the next one has not been asked for.
    busy: bool,
    closed: bool,
}

pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    limit: usize,
}

impl Queue {
    pub fn new(limit: usize) -> Queue {
        Queue { state: Mutex::default(), changed: Condvar::new(), limit }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked held no half-changed state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room, and after a statement until it was dealt with; false if nobody reads any more.
    pub fn put(&self, batch: Batch) -> bool {
        let weight = batch.weight();
        let is_statement = batch.ddl.is_some();
        let full = |state: &mut State| !state.closed && state.weight > 0 && state.weight + weight > self.limit;
        let mut state = self.changed.wait_while(self.lock(), full).unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return false;
        }
        state.weight += weight;
        state.batches.push_back(batch);
        self.changed.notify_all();
        if is_statement { self.rest(state) } else { true }
    }

    /// Waits until all batches were dealt with; false if nobody reads any more.
    pub fn drain(&self) -> bool {
        self.rest(self.lock())
    }

    fn rest(&self, state: MutexGuard<'_, State>) -> bool {
        let working = |state: &mut State| !state.closed && (state.busy || !state.batches.is_empty());
        !self.changed.wait_while(state, working).unwrap_or_else(PoisonError::into_inner).closed
    }

    /// The next batch; None after the timeout, or when closed. The failure comes after all batches before it.
    pub fn get(&self, timeout: Duration) -> Result<Option<Batch>, Failure> {
        let deadline = Instant::now() + timeout;
        let mut state = self.lock();
        state.busy = false;
        self.changed.notify_all();
        loop {
            if let Some(mut batch) = state.batches.pop_front() {
                state.weight -= batch.weight();
                state.busy = true;
                batch.more = !state.batches.is_empty();
                self.changed.notify_all();
                return Ok(Some(batch));
            }
            if state.closed {
                return Ok(None);
            }
            if let Some(failure) = state.failure.take() {
                return Err(failure);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub fn fail(&self, failure: Failure) {
        self.lock().failure = Some(failure);
        self.changed.notify_all();
    }

    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, mpsc};
    use std::thread;

    fn batch(bytes: usize) -> Batch {
        Batch { buffer: vec![0; bytes], ..Batch::default() }
    }

    #[test]
    fn is_bounded_in_bytes_and_hands_on_in_order() {
        let queue = Arc::new(Queue::new(10_000));
        let putting = queue.clone();
        let writer = thread::spawn(move || (0..100).all(|number| putting.put(batch(3000 + number))));
        for number in 0..100 {
            assert!(queue.lock().weight <= 10_000);
            assert_eq!(queue.get(Duration::from_secs(5)).ok().flatten().unwrap().buffer.len(), 3000 + number);
        }
        assert!(writer.join().unwrap());
        assert!(queue.get(Duration::ZERO).ok().flatten().is_none());
    }

    #[test]
    fn says_whether_the_next_one_is_at_hand() {
        let queue = Queue::new(10_000);
        assert!(queue.put(batch(1)) && queue.put(batch(2)));
        let more = || queue.get(Duration::ZERO).ok().flatten().unwrap().more;
        assert!(more());
        assert!(!more());
    }

    #[test]
    fn waits_until_a_statement_was_dealt_with() {
        let queue = Arc::new(Queue::new(10_000));
        let putting = queue.clone();
        let writer = thread::spawn(move || {
            putting.put(Batch { ddl: Some(Box::new(())), ..batch(1) });
            putting.put(batch(2));
        });
        assert!(queue.get(Duration::from_secs(5)).ok().flatten().unwrap().ddl.is_some());
        assert!(queue.lock().batches.is_empty());
        assert_eq!(queue.get(Duration::from_secs(5)).ok().flatten().unwrap().buffer.len(), 2);
        writer.join().unwrap();
    }

    #[test]
    fn is_drained_when_the_last_batch_was_dealt_with() {
        let queue = Arc::new(Queue::new(10_000));
        assert!(queue.drain() && queue.put(batch(1)));
        let waiting = queue.clone();
        let (tell, told) = mpsc::channel();
        let reader = thread::spawn(move || {
            tell.send("waits").unwrap();
            assert!(waiting.drain() && !waiting.lock().busy && waiting.lock().batches.is_empty());
            tell.send("drained").unwrap();
        });
        assert_eq!(told.recv(), Ok("waits"));
        let early = |told: &mpsc::Receiver<_>| told.recv_timeout(Duration::from_millis(100)).is_ok();
        assert!(!early(&told)); // a batch is there
        assert!(queue.get(Duration::from_secs(5)).ok().flatten().is_some());
        assert!(!early(&told)); // it was taken, and not dealt with
        assert!(queue.get(Duration::ZERO).ok().flatten().is_none());
        assert_eq!(told.recv_timeout(Duration::from_secs(5)), Ok("drained"));
        reader.join().unwrap();
    }

    #[test]
    fn closing_ends_both_sides() {
        let queue = Arc::new(Queue::new(10));
        let putting = queue.clone();
        let writer = thread::spawn(move || putting.put(batch(100)) && putting.put(batch(100)));
        while queue.lock().batches.is_empty() {
            thread::yield_now();
        }
        queue.close();
        assert!(!writer.join().unwrap());
    }
}
