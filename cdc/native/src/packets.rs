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
    filled: bool,
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
            filled: false,
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

    /// True if bytes came from the socket since the latest call.
    pub fn was_filled(&mut self) -> bool {
        std::mem::take(&mut self.filled)
    }

    /// The next payload; None if it has not begun to arrive after the timeout.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Place>> {
        if self.begins(timeout)? { self.take(None).map(Some) } else { Ok(None) }
    }

    /// The first bytes of the next payload, which may be shorter; None if it has not begun to arrive in time.
    pub fn peek(&mut self, count: usize, timeout: Duration) -> Result<Option<&[u8]>> {
        if !self.begins(timeout)? {
            return Ok(None);
        }
        let count = count.min(self.length()?);
        self.need(HEAD + count)?;
        Ok(Some(&self.buffer[self.start + HEAD..][..count]))
    }

    /// The payload that has begun to arrive. `size`: what its packets have to add up to, where that is known.
    pub fn take(&mut self, size: Option<usize>) -> Result<Place> {
        let length = self.head(size)?;
        if length <= BUFFER - HEAD {
            self.need(length)?;
            self.start += length;
            return Ok(Place::Buffer(self.start - length..self.start));
        }
        self.forget();
        self.append(length)?;
        let mut last = length;
        while last == LONGEST {
            last = self.head(size.map(|size| size - self.joined.len()))?;
            self.append(last)?;
        }
        Ok(Place::Joined)
    }

    /// Gives back the memory of a large packet that was dealt with.
    pub fn forget(&mut self) {
        self.joined = Vec::new();
    }

    fn begins(&mut self, timeout: Duration) -> Result<bool> {
        Ok(self.end > self.start || self.fill(timeout)?)
    }

    /// The length of a packet's next piece, which has to come, now that it has begun.
    fn length(&mut self) -> Result<usize> {
        self.need(HEAD)?;
        let head = &self.buffer[self.start..];
        Ok(usize::from(head[0]) | usize::from(head[1]) << 8 | usize::from(head[2]) << 16)
    }

    /// Goes past a piece's head and gives its length. `left`: of the whole, if known.
    fn head(&mut self, left: Option<usize>) -> Result<usize> {
        let length = self.length()?;
        // No checksum covers a head: a damaged length is a wait for what never comes, with heartbeats to be patient.
        if let Some(wanted) = left.map(|left| left.min(LONGEST))
            && length != wanted
        {
            return Fault::undecodable(format!("a packet of {length} bytes holds {wanted} of an event"));
        }
        self.sequence = self.buffer[self.start + HEAD - 1].wrapping_add(1);
        self.start += HEAD;
        Ok(length)
    }

    /// A piece that is too large for the buffer, as it comes: what was promised takes no room before it is there.
    fn append(&mut self, length: usize) -> Result<()> {
        let at_hand = length.min(self.end - self.start);
        self.joined.extend_from_slice(&self.buffer[self.start..self.start + at_hand]);
        self.start += at_hand;
        let mut missing = length - at_hand;
        while missing > 0 {
            let known = self.joined.len();
            self.joined.resize(known + missing.min(BUFFER), 0);
            let count = self.socket.read(&mut self.joined[known..], self.quiet_limit)?;
            self.joined.truncate(known + count.unwrap_or(0));
            missing -= count.unwrap_or(0);
            self.heard(count.is_some(), self.quiet_limit)?;
        }
        Ok(())
    }

    fn need(&mut self, count: usize) -> Result<()> {
        while self.end - self.start < count {
            if self.start + count > self.buffer.len() {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            self.fill(self.quiet_limit)?;
        }
        Ok(())
    }

    /// Reads what is there; false after the timeout.
    fn fill(&mut self, timeout: Duration) -> Result<bool> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        let count = self.socket.read(&mut self.buffer[self.end..], timeout)?;
        self.end += count.unwrap_or(0);
        self.heard(count.is_some(), timeout)?;
        Ok(count.is_some())
    }

    fn heard(&mut self, something: bool, waited: Duration) -> Result<()> {
        if something {
            self.silence = Duration::ZERO;
            self.filled = true;
            return Ok(());
        }
        // Time that we did not wait does not count: whoever publishes may have held us back.
        self.silence += waited;
        if self.silence < self.quiet_limit {
            return Ok(());
        }
        Err(Fault::unreachable(format!("the server was silent for {} s", self.quiet_limit.as_secs())))
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
