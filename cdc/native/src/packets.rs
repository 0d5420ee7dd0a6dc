//! MySQL's packets: four bytes of length and number, then a payload; what is longer than 16 MiB comes in pieces.

use std::ops::Range;
use std::time::Duration;

use crate::fault::{Fault, Result};
use crate::socket::Socket;

const HEAD: usize = 4;
const LONGEST: usize = 0xff_ffff;
const BUFFER: usize = 1 << 18;

/// Reads and writes packets. `quiet_limit`: how long the server may be silent.
pub struct Packets {
    pub socket: Socket,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    joined: Vec<u8>,
    pub sequence: u8,
    quiet_limit: Duration,
    silence: Duration,
}

/// A packet's payload, in one of the two buffers.
pub enum Place {
    Buffer(Range<usize>),
    Joined,
}

impl Packets {
    pub fn new(socket: Socket, quiet_limit: Duration) -> Packets {
        Packets {
            socket,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            joined: Vec::new(),
            sequence: 0,
            quiet_limit,
            silence: Duration::ZERO,
        }
    }

    pub fn bytes(&self, place: &Place) -> &[u8] {
        match place {
            Place::Buffer(range) => &self.buffer[range.clone()],
            Place::Joined => &self.joined,
        }
    }

    /// The next payload; the server has to answer.
    pub fn answer(&mut self) -> Result<Vec<u8>> {
        loop {
            if let Some(place) = self.next(self.quiet_limit)? {
                return Ok(self.bytes(&place).to_vec());
            }
        }
    }

    /// True if a whole packet is likely to be at hand without waiting.
    pub fn has_more(&self) -> bool {
        self.end - self.start > HEAD
    }

    /// The next payload; None if it has not begun to arrive after the timeout.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Place>> {
        if self.end == self.start && !self.fill(timeout)? {
            return Ok(None);
        }
        let first = self.piece()?;
        if first.len() < LONGEST {
            if self.joined.capacity() > BUFFER {
                self.joined = Vec::new();
            }
            return Ok(Some(Place::Buffer(first)));
        }
        self.joined.clear();
        self.joined.extend_from_slice(&self.buffer[first]);
        loop {
            let piece = self.piece()?;
            let last = piece.len() < LONGEST;
            self.joined.extend_from_slice(&self.buffer[piece]);
            if last {
                return Ok(Some(Place::Joined));
            }
        }
    }

    /// One piece of a packet; the rest of it has to come, now that it has begun.
    fn piece(&mut self) -> Result<Range<usize>> {
        self.need(HEAD)?;
        let head = &self.buffer[self.start..self.start + HEAD];
        let length = usize::from(head[0]) | usize::from(head[1]) << 8 | usize::from(head[2]) << 16;
        self.sequence = head[3].wrapping_add(1);
        self.need(HEAD + length)?;
        let start = self.start + HEAD;
        self.start = start + length;
        Ok(start..start + length)
    }

    fn need(&mut self, count: usize) -> Result<()> {
        while self.end - self.start < count {
            if self.start + count > self.buffer.len() {
                self.make_room(count);
            }
            self.fill(self.quiet_limit)?;
        }
        Ok(())
    }

    fn make_room(&mut self, count: usize) {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() < count {
            self.buffer.resize(count, 0);
        }
    }

    /// Reads what is there; false after the timeout.
    fn fill(&mut self, timeout: Duration) -> Result<bool> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > BUFFER {
                self.buffer = vec![0; BUFFER];
            }
        }
        match self.socket.read(&mut self.buffer[self.end..], timeout)? {
            Some(count) => {
                self.end += count;
                self.silence = Duration::ZERO;
                Ok(true)
            }
            None => {
                // Time that we did not wait does not count: whoever publishes may have held us back.
                self.silence += timeout;
                if self.silence < self.quiet_limit {
                    return Ok(false);
                }
                Err(Fault::unreachable(format!("the server was silent for {} s", self.quiet_limit.as_secs())))
            }
        }
    }

    pub fn send(&mut self, payload: &[u8]) -> Result<()> {
        let mut out = Vec::with_capacity(payload.len() + HEAD);
        for piece in payload.chunks(LONGEST).chain((payload.len().is_multiple_of(LONGEST)).then_some([].as_slice())) {
            out.extend_from_slice(&(piece.len() as u32).to_le_bytes()[..3]);
            out.push(self.sequence);
            out.extend_from_slice(piece);
            self.sequence = self.sequence.wrapping_add(1);
        }
        self.silence = Duration::ZERO;
        self.socket.write_all(&out)
    }
}
