//! The binlog's framing: event headers, checksums, types. Layouts: `binlog_event.h` of the MySQL source.

use crate::cursor::Cursor;
use crate::fault::{Fault, Result};

pub const HEADER_BYTES: usize = 19;
pub const CHECKSUM_BYTES: usize = 4;
pub const SIZE_AT: usize = 9; // in the header
pub const ARTIFICIAL_FLAG: u16 = 0x20; // made up by the dump thread, in no file
pub const IGNORABLE_FLAG: u16 = 0x80;

pub mod kind {
    pub const QUERY: u8 = 2;
    pub const STOP: u8 = 3;
    pub const ROTATE: u8 = 4;
    pub const INTVAR: u8 = 5;
    pub const APPEND_BLOCK: u8 = 9;
    pub const DELETE_FILE: u8 = 11;
    pub const RAND: u8 = 13;
    pub const USER_VAR: u8 = 14;
    pub const FORMAT_DESCRIPTION: u8 = 15;
    pub const XID: u8 = 16;
    pub const BEGIN_LOAD_QUERY: u8 = 17;
    pub const EXECUTE_LOAD_QUERY: u8 = 18;
    pub const TABLE_MAP: u8 = 19;
    pub const WRITE_ROWS_V1: u8 = 23;
    pub const UPDATE_ROWS_V1: u8 = 24;
    pub const DELETE_ROWS_V1: u8 = 25;
    pub const INCIDENT: u8 = 26;
    pub const HEARTBEAT: u8 = 27;
    pub const IGNORABLE: u8 = 28;
    pub const ROWS_QUERY: u8 = 29;
    pub const WRITE_ROWS: u8 = 30;
    pub const UPDATE_ROWS: u8 = 31;
    pub const DELETE_ROWS: u8 = 32;
    pub const GTID: u8 = 33;
    pub const ANONYMOUS_GTID: u8 = 34;
    pub const PREVIOUS_GTIDS: u8 = 35;
    pub const TRANSACTION_CONTEXT: u8 = 36;
    pub const VIEW_CHANGE: u8 = 37;
    pub const XA_PREPARE: u8 = 38;
    pub const PARTIAL_UPDATE_ROWS: u8 = 39;
    pub const TRANSACTION_PAYLOAD: u8 = 40;
    pub const HEARTBEAT_V2: u8 = 41;
    pub const GTID_TAGGED: u8 = 42;
}

/// One event without its checksum. `log_pos`: where the next one starts, modulo 2^32; 0 in artificial ones.
#[derive(Clone, Copy)]
pub struct Event<'a> {
    pub kind: u8,
    pub timestamp: u32,
    pub server_id: u32,
    pub size: u32,
    pub log_pos: u32,
    pub flags: u16,
    pub body: &'a [u8],
}

/// One event from the bytes after the packet's OK byte; `checksum`: it ends in a CRC32, which is verified.
pub fn parse(raw: &[u8], checksum: bool) -> Result<Event<'_>> {
    let mut cursor = Cursor::new(raw);
    let timestamp = cursor.u32()?;
    let kind = cursor.u8()?;
    let (server_id, size, log_pos, flags) = (cursor.u32()?, cursor.u32()?, cursor.u32()?, cursor.u16()?);
    let mut body = cursor.rest();
    if checksum {
        if !has_checksum(raw) || body.len() < CHECKSUM_BYTES {
            return Fault::undecodable(format!(
                "the checksum of an event of type {kind} that ends at {log_pos} does not match"
            ));
        }
        body = &body[..body.len() - CHECKSUM_BYTES];
    }
    Ok(Event { kind, timestamp, server_id, size, log_pos, flags, body })
}

/// True if the last four bytes are the CRC32 of the others.
pub fn has_checksum(raw: &[u8]) -> bool {
    raw.split_last_chunk::<CHECKSUM_BYTES>()
        .is_some_and(|(rest, sum)| crc32fast::hash(rest) == u32::from_le_bytes(*sum))
}

/// What a file says about itself: the server's version as text, and whether its events have checksums.
pub fn parse_format_description(raw: &[u8]) -> Result<(String, bool)> {
    let body = raw.get(HEADER_BYTES..).unwrap_or_default();
    if body.len() < 52 + 1 + CHECKSUM_BYTES {
        return Fault::undecodable("a format description is too short");
    }
    let server: String = body[2..52].iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect();
    match body[body.len() - 1 - CHECKSUM_BYTES] {
        // Then its own may be wrong: a server that sends it for a later position does not mend it.
        0 => Ok((server, false)),
        1 if has_checksum(raw) => Ok((server, true)),
        1 => Fault::undecodable("the checksum of a format description does not match"),
        other => Fault::undecodable(format!("the binlog has checksums of an unknown kind {other}")),
    }
}

/// The next file and the position in it.
pub fn parse_rotate(body: &[u8]) -> Result<(String, u64)> {
    let mut cursor = Cursor::new(body);
    let pos = cursor.u64()?;
    Ok((text(cursor.rest())?, pos))
}

/// A QUERY: the session's number, and the statement.
pub fn parse_query(body: &[u8]) -> Result<(u32, &[u8])> {
    let mut cursor = Cursor::new(body);
    let thread = cursor.u32()?;
    cursor.take(4)?;
    let db = usize::from(cursor.u8()?);
    cursor.take(2)?;
    let status = usize::from(cursor.u16()?);
    cursor.take(status + db + 1)?;
    Ok((thread, cursor.rest()))
}

pub fn text(bytes: &[u8]) -> Result<String> {
    match std::str::from_utf8(bytes) {
        Ok(found) => Ok(found.to_owned()),
        Err(error) => Fault::undecodable(format!("a name is not UTF-8: {error}")),
    }
}
