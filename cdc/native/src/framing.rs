//! What a file's FORMAT_DESCRIPTION says, and events read by it.

use crate::event::{self, Event, kind};
use crate::fault::{Fault, Result};

/// Splits events; which of them end in a checksum is learned from the stream itself.
#[derive(Default)]
pub struct Framing {
    /// The version that the server calls itself.
    pub server: String,
    checksum: Option<bool>, // unknown until the first FORMAT_DESCRIPTION
    described: bool,        // by the latest event
}

impl Framing {
    /// One event, as it comes after the packet's OK byte.
    pub fn parse<'a>(&mut self, raw: &'a [u8]) -> Result<Event<'a>> {
        if raw.get(4) == Some(&kind::FORMAT_DESCRIPTION) {
            let event = event::parse(raw, event::has_checksum(raw))?;
            let (server, checksum) = event::parse_format_description(raw)?;
            self.server = server;
            self.checksum = Some(checksum);
            self.described = true;
            return Ok(event);
        }
        let first = std::mem::take(&mut self.described);
        if first && self.checksum == Some(false) && event::has_checksum(raw) {
            return Fault::undecodable("an event has a checksum, though its file says that there are none");
        }
        // The ROTATE before any description is made up by the server, with the checksum that was asked for.
        event::parse(raw, self.checksum.unwrap_or(true))
    }
}
