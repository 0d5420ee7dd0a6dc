//! GTIDs: the events that carry them, and sets of them as the dump command and the position want them.

use std::collections::BTreeMap;

use crate::cursor::Cursor;
use crate::fault::{Fault, Result};
use crate::json;

const UNTAGGED_CHARS: usize = 36 + 1 + 20; // a UUID, a colon, and the longest number

/// `text` is empty for an anonymous transaction; `commit_us` is 0 where the server is too old to say.
pub struct Gtid {
    pub text: String,
    pub commit_us: u64,
}

/// A GTID or ANONYMOUS_GTID event: flags, uuid, number, two logical clocks, then commit times (since 8.0).
pub fn parse(body: &[u8], anonymous: bool) -> Result<Gtid> {
    let mut cursor = Cursor::new(body);
    cursor.u8()?;
    let uuid: [u8; 16] = cursor.array()?;
    let number = cursor.u64()?;
    let text = if anonymous { String::new() } else { gtid_text(&uuid, "", number) };
    let mut commit_us = 0;
    if cursor.take(1 + 16).is_ok() {
        // 55 bits of time at the immediate server; the top bit says that the time at the original one follows.
        commit_us = cursor.little(7).unwrap_or(0);
        if commit_us >> 55 != 0 {
            commit_us = cursor.little(7)?;
        }
    }
    Ok(Gtid { text, commit_us })
}

/// A GTID_TAGGED event: a message of MySQL's serialization library (`control_events.h`, `Gtid_event`).
pub fn parse_tagged(body: &[u8]) -> Result<Gtid> {
    let mut cursor = Cursor::new(body);
    let version = cursor.varlen()?;
    if version != 1 {
        return Fault::undecodable(format!("a tagged GTID has the serialization version {version}"));
    }
    let (_size, last_needed) = (cursor.varlen()?, cursor.varlen()?);
    let (mut uuid, mut tag, mut number) = ([0; 16], String::new(), 0);
    let (mut immediate, mut original) = (0, None);
    while !cursor.is_empty() {
        match cursor.varlen()? {
            1 => {
                for byte in &mut uuid {
                    *byte = cursor.varlen()? as u8;
                }
            }
            2 => number = cursor.varlen()? >> 1, // signed, and never negative
            3 => {
                let length = cursor.varlen()?;
                tag = crate::event::text(cursor.take(usize::try_from(length).unwrap_or(usize::MAX))?)?;
            }
            6 => immediate = cursor.varlen()?,
            7 => original = Some(cursor.varlen()?),
            0 | 4 | 5 | 8..=11 => {
                cursor.varlen()?;
            }
            field if field <= last_needed => {
                return Fault::undecodable(format!("a tagged GTID has the unknown field {field}"));
            }
            _ => break,
        }
    }
    Ok(Gtid { text: gtid_text(&uuid, &tag, number), commit_us: original.unwrap_or(immediate) })
}

/// `uuid[:tag]:number`. Made for every transaction, so without the formatting machinery.
fn gtid_text(uuid: &[u8; 16], tag: &str, number: u64) -> String {
    let mut text = uuid_text(uuid);
    if !tag.is_empty() {
        text.push(':');
        text.push_str(tag);
    }
    text.push(':');
    text.push_str(itoa::Buffer::new().format(number));
    text
}

fn uuid_text(uuid: &[u8; 16]) -> String {
    let mut text = String::with_capacity(UNTAGGED_CHARS);
    for (place, byte) in uuid.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push(char::from(json::HEX[usize::from(byte >> 4)]));
        text.push(char::from(json::HEX[usize::from(byte & 15)]));
    }
    text
}

/// A set of GTIDs, `uuid[:tag]:first-last[:…]`; gaps and tags are kept. Intervals are inclusive.
#[derive(Default, Clone, Debug, PartialEq)]
pub struct GtidSet(BTreeMap<String, Vec<(u64, u64)>>);

impl GtidSet {
    pub fn parse(text: &str) -> Result<GtidSet> {
        let mut set = GtidSet::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let part = part.to_lowercase();
            let mut pieces = part.split(':').map(str::trim);
            let uuid = pieces.next().unwrap_or_default();
            let mut source = uuid.to_owned();
            for piece in pieces {
                match interval(piece) {
                    Some((first, last)) => set.insert(&source, first, last),
                    None => source = format!("{uuid}:{piece}"),
                }
            }
        }
        Ok(set)
    }

    /// Add one GTID, `uuid[:tag]:number`.
    pub fn add(&mut self, gtid: &str) {
        if let Some((source, number)) = gtid.rsplit_once(':')
            && let Ok(number) = number.parse()
        {
            self.insert(source, number, number);
        }
    }

    fn insert(&mut self, source: &str, first: u64, last: u64) {
        let intervals = match self.0.get_mut(source) {
            Some(found) => found,
            None => self.0.entry(source.to_owned()).or_default(),
        };
        if let Some(newest) = intervals.last_mut()
            && newest.1 + 1 == first
        {
            newest.1 = last; // the usual case: the next transaction
            return;
        }
        intervals.push((first, last));
        intervals.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::with_capacity(intervals.len());
        for (low, high) in intervals.drain(..) {
            match merged.last_mut() {
                Some(before) if low <= before.1 + 1 => before.1 = before.1.max(high),
                _ => merged.push((low, high)),
            }
        }
        *intervals = merged;
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As COM_BINLOG_DUMP_GTID carries it (`Gtid_set::encode` in `rpl_gtid_set.cc`).
    pub fn encode(&self) -> Result<Vec<u8>> {
        let tagged = self.0.keys().any(|source| source.contains(':'));
        let count = self.0.len() as u64;
        let head = if tagged { 1 << 56 | count << 8 | 1 } else { count };
        let mut out = head.to_le_bytes().to_vec();
        for (source, intervals) in &self.0 {
            let (uuid, tag) = source.split_once(':').unwrap_or((source, ""));
            out.extend(uuid_bytes(uuid)?);
            if tagged {
                out.push((tag.len() as u8) << 1); // a number of MySQL's serialization library, below 64
                out.extend(tag.as_bytes());
            }
            out.extend((intervals.len() as u64).to_le_bytes());
            for (first, last) in intervals {
                out.extend(first.to_le_bytes());
                out.extend((last + 1).to_le_bytes());
            }
        }
        Ok(out)
    }
}

impl std::fmt::Display for GtidSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, (source, intervals)) in self.0.iter().enumerate() {
            write!(f, "{}{source}", if number > 0 { "," } else { "" })?;
            for (first, last) in intervals {
                if first == last { write!(f, ":{first}")? } else { write!(f, ":{first}-{last}")? }
            }
        }
        Ok(())
    }
}

fn interval(text: &str) -> Option<(u64, u64)> {
    match text.split_once('-') {
        Some((first, last)) => Some((first.parse().ok()?, last.parse().ok()?)),
        None => text.parse().ok().map(|number| (number, number)),
    }
}

fn uuid_bytes(text: &str) -> Result<[u8; 16]> {
    let hex: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    let mut uuid = [0; 16];
    if hex.len() != 32 || !hex.is_ascii() {
        return Fault::undecodable(format!("{text} is no UUID"));
    }
    for (byte, pair) in uuid.iter_mut().zip(hex.chunks_exact(2)) {
        match u8::from_str_radix(&String::from_utf8_lossy(pair), 16) {
            Ok(value) => *byte = value,
            Err(_) => return Fault::undecodable(format!("{text} is no UUID")),
        }
    }
    Ok(uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    #[test]
    fn keeps_gaps_and_tags() {
        let text = format!("{UUID}:1-3:5,{UUID}:shop:7");
        let mut set = GtidSet::parse(&text).unwrap();
        assert_eq!(set.to_string(), format!("{UUID}:1-3:5,{UUID}:shop:7"));
        set.add(&format!("{UUID}:4"));
        set.add(&format!("{UUID}:shop:9"));
        assert_eq!(set.to_string(), format!("{UUID}:1-5,{UUID}:shop:7:9"));
    }

    #[test]
    fn encodes_half_open_intervals() {
        let encoded = GtidSet::parse(&format!("{UUID}:1-3")).unwrap().encode().unwrap();
        assert_eq!(encoded.len(), 8 + 16 + 8 + 16);
        assert_eq!((encoded[0], encoded[32], encoded[40]), (1, 1, 4));
        assert!(GtidSet::parse("xyz:1").unwrap().encode().is_err());
    }

    #[test]
    fn encodes_tags() {
        let encoded = GtidSet::parse(&format!("{UUID}:ab:1")).unwrap().encode().unwrap();
        assert_eq!(&encoded[..8], [1, 1, 0, 0, 0, 0, 0, 1]);
        assert_eq!(&encoded[24..27], [4, b'a', b'b']);
    }
}
