//! A session that asks for the binlog, and the events that follow.

use std::time::Duration;

use crate::batch::Position;
use crate::cursor::Cursor;
use crate::decoder::FARTHEST_START;
use crate::fault::{Fault, Result};
use crate::gtid::GtidSet;
use crate::login::{Credentials, checked, login, server_error};
use crate::packets::{Packets, Place};
use crate::socket::{Address, Socket};

const QUERY: u8 = 0x03;
const BINLOG_DUMP: u8 = 0x12;
const BINLOG_DUMP_GTID: u8 = 0x1e;
const BEGINNING: u32 = 4; // after the magic number
const END: u8 = 0xfe;

pub struct Source {
    pub address: Address,
    pub credentials: Credentials,
    pub server_id: u32,
    pub heartbeat: Duration,
    pub connect_timeout: Duration,
    pub read_timeout: Duration,
}

/// An open dump. `fold_names`: the server compares names without case.
pub struct Dump {
    pub packets: Packets,
    pub fold_names: bool,
}

impl Dump {
    /// Connects and prepares the session.
    pub fn open(source: &Source) -> Result<Dump> {
        let socket = Socket::connect(&source.address, source.connect_timeout)?;
        let mut packets = Packets::new(socket, source.connect_timeout);
        login(&mut packets, &source.credentials, source.connect_timeout)?;
        let mut packets = Packets::new(packets.socket, source.read_timeout);
        let nanoseconds = source.heartbeat.as_nanos();
        // A replica says which checksums it understands, else a file written with them ends the dump. Heartbeats go by
        // two names. The server waits this long for a reader that is held back before it drops the connection.
        command(
            &mut packets,
            &format!(
                "SET @source_binlog_checksum = 'CRC32', @master_binlog_checksum = 'CRC32', \
                 @source_heartbeat_period = {nanoseconds}, @master_heartbeat_period = {nanoseconds}, \
                 @mariadb_slave_capability = 4, @@session.net_write_timeout = 900"
            ),
        )?;
        let folded = value(&mut packets, "SELECT @@lower_case_table_names")?;
        Ok(Dump { packets, fold_names: folded != b"0" })
    }

    /// Asks for everything after a position.
    pub fn start(&mut self, server_id: u32, position: &Position) -> Result<()> {
        self.packets.sequence = 0;
        self.packets.send(&request(server_id, position)?)
    }

    /// The next event's place in the packets, without the packet's OK byte; None after the timeout.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Place>> {
        let Some(place) = self.packets.next(timeout)? else { return Ok(None) };
        match self.packets.bytes(&place) {
            [0, ..] => Ok(Some(place)),
            [0xff, rest @ ..] => Err(server_error(rest)),
            [END, ..] => Err(Fault::unreachable("the server ended the binlog dump")),
            _ => Fault::undecodable("a packet of the binlog dump begins in an unknown way"),
        }
    }
}

fn request(server_id: u32, position: &Position) -> Result<Vec<u8>> {
    let set = GtidSet::parse(&position.gtid_set)?;
    let mut out = Vec::new();
    if set.is_empty() {
        let far = position.pos > FARTHEST_START;
        out.push(BINLOG_DUMP);
        out.extend((if far { BEGINNING } else { position.pos as u32 }).to_le_bytes());
        out.extend([0; 2]);
        out.extend(server_id.to_le_bytes());
        out.extend(position.file.as_bytes());
        return Ok(out);
    }
    let encoded = set.encode()?;
    out.push(BINLOG_DUMP_GTID);
    out.extend([0; 2]);
    out.extend(server_id.to_le_bytes());
    out.extend([0; 4]); // no file name: the set says it all
    out.extend(u64::from(BEGINNING).to_le_bytes());
    out.extend((encoded.len() as u32).to_le_bytes());
    out.extend(encoded);
    Ok(out)
}

fn command(packets: &mut Packets, sql: &str) -> Result<Vec<u8>> {
    packets.sequence = 0;
    packets.send(&[&[QUERY], sql.as_bytes()].concat())?;
    checked(packets.answer()?)
}

/// The one value that a query gives, as text.
fn value(packets: &mut Packets, sql: &str) -> Result<Vec<u8>> {
    command(packets, sql)?; // the number of columns
    let mut found = Vec::new();
    let mut ends = 0;
    while ends < 2 {
        let packet = checked(packets.answer()?)?;
        if packet.first() == Some(&END) && packet.len() < 9 {
            ends += 1;
        } else if ends == 1 {
            found = Cursor::new(&packet).packed_bytes()?.to_vec();
        }
    }
    Ok(found)
}
