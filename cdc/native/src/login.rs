//! Logging in: the handshake, TLS, passwords. Protocol: dev.mysql.com/doc/dev/mysql-server, "Connection Phase".

use std::time::Duration;

use mysql_common::auth::plugins::caching_sha2_password::scramble_sha256;
use mysql_common::auth::plugins::mysql_native_password::scramble_native;
use mysql_common::crypto;

use crate::cursor::Cursor;
use crate::fault::{Fault, Result};
use crate::packets::Packets;

// LONG_PASSWORD, LONG_FLAG, PROTOCOL_41, TRANSACTIONS, SECURE_CONNECTION, PLUGIN_AUTH, PLUGIN_AUTH_LENENC_CLIENT_DATA
const CAPABILITIES: u32 = 0x1 | 0x4 | 0x200 | 0x2000 | 0x8000 | 0x8_0000 | 0x20_0000;
const TLS: u32 = 0x800;
const MAX_PACKET: u32 = 1 << 30;
const UTF8MB4: u8 = 45;
const NONCE: usize = 20;
const CACHING_SHA2: &str = "caching_sha2_password";
const NATIVE: &str = "mysql_native_password";

pub struct Credentials {
    pub user: String,
    pub password: Vec<u8>,
    pub tls: bool,
    pub ca: Option<Vec<u8>>,
}

/// From the first byte to a session that takes commands; gives the server's version as text.
pub fn login(packets: &mut Packets, credentials: &Credentials, timeout: Duration) -> Result<String> {
    let hello = Hello::parse(&checked(packets.answer()?)?)?;
    let capabilities = CAPABILITIES | if credentials.tls { TLS } else { 0 };
    let mut response = capabilities.to_le_bytes().to_vec();
    response.extend(MAX_PACKET.to_le_bytes());
    response.push(UTF8MB4);
    response.extend([0; 23]);
    if credentials.tls {
        if hello.capabilities & TLS == 0 {
            return Err(Box::new(Fault::Refused("the server offers no TLS".into())));
        }
        packets.send(&response)?;
        packets.socket.start_tls(credentials.ca.as_deref(), timeout)?;
    }
    let plugin = if hello.plugin == NATIVE { NATIVE } else { CACHING_SHA2 };
    let answer = scramble(plugin, &hello.nonce, &credentials.password)?;
    response.extend(credentials.user.as_bytes());
    response.push(0);
    response.push(answer.len() as u8);
    response.extend(answer);
    response.extend(plugin.as_bytes());
    response.push(0);
    packets.send(&response)?;
    conclude(packets, credentials, hello.nonce)?;
    Ok(hello.server)
}

/// The rest of the conversation, up to OK.
fn conclude(packets: &mut Packets, credentials: &Credentials, mut nonce: [u8; NONCE]) -> Result<()> {
    loop {
        let packet = checked(packets.answer()?)?;
        match packet.as_slice() {
            [0, ..] => return Ok(()),
            [1, 3] => {} // the password was in the server's cache; OK follows
            [1, 4] => full_password(packets, credentials, &nonce)?,
            [0xfe, request @ ..] => {
                let mut cursor = Cursor::new(request);
                let plugin = crate::event::text(cursor.until_zero()?)?;
                nonce = cursor.array()?;
                let answer = scramble(&plugin, &nonce, &credentials.password)?;
                packets.send(&answer)?;
            }
            _ => return Fault::undecodable("the server says something unknown while we log in"),
        }
    }
}

fn full_password(packets: &mut Packets, credentials: &Credentials, nonce: &[u8; NONCE]) -> Result<()> {
    let mut password = credentials.password.clone();
    password.push(0);
    if packets.socket.is_secure() {
        return packets.send(&password);
    }
    packets.send(&[2])?;
    let packet = checked(packets.answer()?)?;
    let [1, key @ ..] = packet.as_slice() else { return Fault::undecodable("the server sent no public key") };
    for (byte, noise) in password.iter_mut().zip(nonce.iter().cycle()) {
        *byte ^= noise;
    }
    match crypto::encrypt(&password, key) {
        Ok(encrypted) => packets.send(&encrypted),
        Err(error) => Fault::undecodable(format!("the server's public key cannot be used: {error}")),
    }
}

fn scramble(plugin: &str, nonce: &[u8; NONCE], password: &[u8]) -> Result<Vec<u8>> {
    match plugin {
        CACHING_SHA2 => Ok(scramble_sha256(nonce, password).map_or(Vec::new(), Vec::from)),
        NATIVE => Ok(scramble_native(nonce, password).map_or(Vec::new(), Vec::from)),
        other => Err(Box::new(Fault::Refused(format!("the account uses {other}, which is not spoken here")))),
    }
}

struct Hello {
    capabilities: u32,
    nonce: [u8; NONCE],
    plugin: String,
    server: String,
}

impl Hello {
    fn parse(packet: &[u8]) -> Result<Hello> {
        let mut cursor = Cursor::new(packet);
        let version = cursor.u8()?;
        if version != 10 {
            return Fault::undecodable(format!("the server speaks version {version} of the protocol"));
        }
        let server = String::from_utf8_lossy(cursor.until_zero()?).into_owned();
        cursor.u32()?;
        let mut nonce = [0; NONCE];
        nonce[..8].copy_from_slice(cursor.take(8)?);
        cursor.u8()?;
        let low = cursor.u16()?;
        cursor.take(3)?; // character set, status
        let capabilities = u32::from(low) | u32::from(cursor.u16()?) << 16;
        cursor.take(1 + 10)?; // the nonce's length, which is always 21, and nothing
        nonce[8..].copy_from_slice(cursor.take(12)?);
        cursor.u8()?;
        let plugin = cursor.until_zero().map(|name| String::from_utf8_lossy(name).into_owned()).unwrap_or_default();
        Ok(Hello { capabilities, nonce, plugin, server })
    }
}

/// The packet, unless it is an ERR packet.
pub fn checked(packet: Vec<u8>) -> Result<Vec<u8>> {
    match packet.as_slice() {
        [0xff, rest @ ..] => Err(server_error(rest)),
        _ => Ok(packet),
    }
}

/// What an ERR packet says, after its first byte.
pub fn server_error(rest: &[u8]) -> Box<Fault> {
    let code = rest.first_chunk::<2>().map_or(0, |raw| u16::from_le_bytes(*raw));
    let mut text = rest.get(2..).unwrap_or_default();
    if let [b'#', _, _, _, _, _, after @ ..] = text {
        text = after;
    }
    Box::new(Fault::Server { code, text: String::from_utf8_lossy(text).into_owned() })
}
