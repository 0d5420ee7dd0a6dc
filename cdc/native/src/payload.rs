//! TRANSACTION_PAYLOAD: a whole transaction in one event, compressed or not. Layout: `Transaction_payload_event`.

use std::io::{ErrorKind, Read};

use crate::cursor::Cursor;
use crate::event::HEADER_BYTES;
use crate::fault::{Fault, Result};

const END: u64 = 0;
const SIZE: u64 = 1;
const COMPRESSION: u64 = 2;
const ZSTD: u64 = 0;
const NONE: u64 = 255;
const LARGEST_EVENT: usize = 1 << 30; // slave_max_allowed_packet

/// Hears of the size of an event before it is decoded; may wait until there is memory for it.
pub type Room<'a> = &'a mut dyn FnMut(usize) -> Result<()>;

/// Hands on one event after the other, without checksums; only one of them is in memory at a time, and `room` hears of
/// its size before it is.
pub fn each(body: &[u8], room: Room, handle: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut cursor = Cursor::new(body);
    let (mut size, mut compression) = (None, ZSTD);
    loop {
        let field = cursor.packed()?;
        if field == END {
            break;
        }
        let mut value = Cursor::new(cursor.packed_bytes()?);
        match field {
            SIZE => size = Some(value.packed()?),
            COMPRESSION => compression = value.packed()?,
            _ => {} // the uncompressed size; a newer server's would come with another compression
        }
    }
    let length = size.map_or(cursor.rest().len(), |size| usize::try_from(size).unwrap_or(usize::MAX));
    let payload = cursor.take(length)?;
    match compression {
        NONE => plain(payload, room, handle),
        ZSTD => match zstd::Decoder::with_buffer(payload) {
            Ok(reader) => stream(reader, room, handle),
            Err(error) => Fault::undecodable(format!("a compressed transaction cannot be read: {error}")),
        },
        other => Fault::undecodable(format!("a transaction is compressed in the unknown way {other}")),
    }
}

fn event_size(header: &[u8]) -> Result<usize> {
    let mut cursor = Cursor::new(header);
    cursor.take(9)?;
    match cursor.u32()? as usize {
        size @ HEADER_BYTES..=LARGEST_EVENT => Ok(size),
        size => Fault::undecodable(format!("an event of {size} bytes inside a transaction payload")),
    }
}

fn plain(payload: &[u8], room: Room, handle: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut cursor = Cursor::new(payload);
    while !cursor.is_empty() {
        let size = event_size(cursor.rest())?;
        room(size)?;
        handle(cursor.take(size)?)?;
    }
    Ok(())
}

fn stream(mut reader: impl Read, room: Room, handle: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut event = Vec::new();
    loop {
        event.clear();
        if fill(&mut reader, &mut event, HEADER_BYTES)? == 0 {
            return Ok(());
        }
        let size = event_size(&event)?;
        room(size)?;
        fill(&mut reader, &mut event, size - HEADER_BYTES)?;
        if event.len() < size {
            return Fault::undecodable("a compressed transaction ends inside an event");
        }
        handle(&event)?;
    }
}

/// Appends up to `count` bytes, all of them unless the stream ends.
fn fill(reader: &mut impl Read, out: &mut Vec<u8>, count: usize) -> Result<usize> {
    match reader.take(count as u64).read_to_end(out) {
        Ok(read) => Ok(read),
        Err(error) if error.kind() == ErrorKind::Interrupted => fill(reader, out, count),
        Err(error) => Fault::undecodable(format!("a compressed transaction cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn event(kind: u8, size: usize) -> Vec<u8> {
        let mut raw = vec![0; size];
        raw[4] = kind;
        raw[9..13].copy_from_slice(&(size as u32).to_le_bytes());
        raw
    }

    fn body(compression: u8, payload: &[u8]) -> Vec<u8> {
        let mut raw = vec![2, 1, compression];
        if compression == 255 {
            raw = vec![2, 3, 252, 255, 0];
        }
        raw.extend([1, 3, 252]);
        raw.extend((payload.len() as u16).to_le_bytes());
        raw.push(0);
        raw.extend(payload);
        raw
    }

    fn kinds(body: &[u8]) -> Result<Vec<u8>> {
        let mut found = Vec::new();
        each(body, &mut |_| Ok(()), &mut |raw| {
            found.push(raw[4]);
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn asks_for_room_before_each_event_is_there() {
        let payload = [event(19, 40), event(30, 300), event(16, 27)].concat();
        let zipped = zstd::encode_all(payload.as_slice(), 3).unwrap();
        for body in [body(255, &payload), body(0, &zipped)] {
            let told = RefCell::new(Vec::new());
            let mut room = |size| {
                told.borrow_mut().push(("room", size));
                if size == 27 { Fault::undecodable("none") } else { Ok(()) }
            };
            let each = each(&body, &mut room, &mut |raw| {
                told.borrow_mut().push(("event", raw.len()));
                Ok(())
            });
            assert!(each.is_err());
            assert_eq!(told.take(), [("room", 40), ("event", 40), ("room", 300), ("event", 300), ("room", 27)]);
        }
    }

    #[test]
    fn reads_both_ways_of_compression() {
        let payload = [event(19, 40), event(30, 300), event(16, 27)].concat();
        assert_eq!(kinds(&body(255, &payload)).unwrap(), [19, 30, 16]);
        let zipped = zstd::encode_all(payload.as_slice(), 3).unwrap();
        assert_eq!(kinds(&body(0, &zipped)).unwrap(), [19, 30, 16]);
        assert!(kinds(&body(7, &payload)).is_err());
        assert!(kinds(&body(0, &zipped[..zipped.len() - 4])).is_err());
        assert!(kinds(&body(255, &payload[..100])).is_err());
    }
}
