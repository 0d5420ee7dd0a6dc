//! A session that asks for the binlog, and the events that follow.

use std::time::Duration;

use crate::batch::Position;
use crate::cursor::Cursor;
use crate::event::{HEADER_BYTES, SIZE_AT};
use crate::fault::{Fault, Result};
use crate::gtid::GtidSet;
use crate::login::{Credentials, checked, login, server_error};
use crate::packets::{Packets, Place};
use crate::progress::FARTHEST_START;
use crate::socket::{Address, Socket};

const QUERY: u8 = 0x03;
const BINLOG_DUMP: u8 = 0x12;
const BINLOG_DUMP_GTID: u8 = 0x1e;
const BEGINNING: u32 = 4; // after the magic number
const END: u8 = 0xfe;
const NULL: u8 = 0xfb;
const NO_SUCH_LOG: u16 = 1220;
const HEAD: usize = 3; // format description, earlier GTIDs, and the first event of a transaction

pub struct Source {
    pub address: Address,
    pub credentials: Credentials,
    pub server_id: u32,
    pub heartbeat: Duration,
    pub connect_timeout: Duration,
    pub read_timeout: Duration,
}

/// An open dump.
pub struct Dump {
    pub packets: Packets,
    pub facts: ServerFacts,
}

impl Dump {
    /// Connects and prepares the session.
    pub fn open(source: &Source, position: &Position) -> Result<Dump> {
        let socket = Socket::connect(&source.address, source.connect_timeout)?;
        let mut packets = Packets::new(socket, source.connect_timeout);
        let server = login(&mut packets, &source.credentials, source.connect_timeout)?;
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
        let facts = facts(&mut packets, &server, position)?;
        Ok(Dump { packets, facts })
    }

    /// Asks for everything after a position.
    pub fn start(&mut self, server_id: u32, position: &Position) -> Result<()> {
        self.packets.sequence = 0;
        self.packets.send(&request(server_id, position)?)
    }

    /// The next event's place in the packets, without the packet's OK byte; None after the timeout.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Place>> {
        let Some(head) = self.packets.peek(1 + HEADER_BYTES, timeout)? else { return Ok(None) };
        let size = event_size(head);
        let place = self.packets.take(size)?;
        match self.packets.bytes(&place) {
            [0, ..] => Ok(Some(place)),
            [0xff, rest @ ..] => Err(server_error(rest)),
            [END, ..] => Err(Fault::unreachable("the server ended the binlog dump")),
            _ => Fault::undecodable("a packet of the binlog dump begins in an unknown way"),
        }
    }
}

/// What a packet has to weigh that begins with an event, by what the event says; None if it holds none.
fn event_size(head: &[u8]) -> Option<usize> {
    match head {
        [0, event @ ..] => event.get(SIZE_AT..)?.first_chunk().map(|raw| u32::from_le_bytes(*raw) as usize + 1),
        _ => None,
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

/// What a query gives, row by row, as text.
fn rows(packets: &mut Packets, sql: &str) -> Result<Vec<Vec<String>>> {
    let columns = Cursor::new(&command(packets, sql)?).packed()?;
    let mut found = Vec::new();
    let mut ends = 0; // one EOF after the columns, one after the rows
    while ends < 2 {
        let packet = checked(packets.answer()?)?;
        if packet.first() == Some(&END) && packet.len() < 9 {
            ends += 1;
        } else if ends == 1 {
            let mut cursor = Cursor::new(&packet);
            let cells = (0..columns).map(|_| match cursor.rest().first() {
                Some(&NULL) => cursor.u8().map(|_| String::new()),
                _ => cursor.packed_bytes().map(|text| String::from_utf8_lossy(text).into_owned()),
            });
            found.push(cells.collect::<Result<_>>()?);
        }
    }
    Ok(found)
}

fn value(packets: &mut Packets, sql: &str) -> Result<String> {
    Ok(rows(packets, sql)?.into_iter().flatten().next().unwrap_or_default())
}

/// What the server says on the very connection that is going to dump.
#[derive(Clone, Copy, Default)]
pub struct ServerFacts {
    /// Names are compared without case.
    pub fold_names: bool,
    /// The position comes before every GTID.
    pub no_gtid_before: bool,
}

fn facts(packets: &mut Packets, server: &str, position: &Position) -> Result<ServerFacts> {
    let fold_names = value(packets, "SELECT @@lower_case_table_names")? != "0";
    if server.to_lowercase().contains("mariadb") {
        return Ok(ServerFacts { fold_names, no_gtid_before: false });
    }
    let found = value(packets, "SELECT @@server_uuid")?;
    let wanted = &position.server_uuid;
    if !wanted.is_empty() && *wanted != found {
        return Err(Box::new(Fault::OtherServer(format!(
            "the dump would come from server {found}, and the position is one of server {wanted}"
        ))));
    }
    Ok(ServerFacts { fold_names, no_gtid_before: no_gtid_before(packets, position)? })
}

fn no_gtid_before(packets: &mut Packets, position: &Position) -> Result<bool> {
    // A set that lacks what came before it would ask for all of that again, so the binlog itself has to say that
    // there is nothing: no earlier GTIDs at the head of the file, and no transaction between there and the position.
    if !position.gtid_set.is_empty() || position.file.is_empty() {
        return Ok(false);
    }
    if rows(packets, "SELECT @@GLOBAL.gtid_mode, @@GLOBAL.gtid_purged")? != [["ON", ""]] {
        return Ok(false);
    }
    let file = position.file.replace(['\'', '\\'], "");
    let head = match rows(packets, &format!("SHOW BINLOG EVENTS IN '{file}' FROM 4 LIMIT {HEAD}")) {
        Ok(head) => head,
        // the dump itself says it better
        Err(fault) if matches!(*fault, Fault::Server { code: NO_SUCH_LOG, .. }) => return Ok(false),
        Err(fault) => return Err(fault),
    };
    // file, position, type, server id, end, what it says
    let mut earlier = head.iter().filter(|row| row.get(2).is_some_and(|kind| kind == "Previous_gtids"));
    let nothing = earlier.next().and_then(|row| row.get(5)).is_some_and(String::is_empty) && earlier.next().is_none();
    let start = |row: &Vec<String>| row.get(1).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
    Ok(nothing && head.iter().skip(2).all(|row| start(row) >= position.pos))
}
