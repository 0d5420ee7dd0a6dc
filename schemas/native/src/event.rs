//! A change event's members, as cdc lays it out. Whatever is different is left to `schemas.record`, which judges it.

use crate::scan::{Scanner, whole};

/// What is read of an event. `after`: the row as it is written; `renamed`: some field has not its column's name.
#[derive(Debug, PartialEq, Eq)]
pub struct Event<'a> {
    pub op: u8,
    pub after: Option<&'a [u8]>,
    pub renamed: bool,
    pub seq: u64,
    pub ts_ms: u64,
    pub table_version: u64,
}

/// Of a row's change; None for everything else.
pub fn read(value: &[u8]) -> Option<Event<'_>> {
    let mut scanner = Scanner::new(value)?;
    scanner.literal(b"{\"before\":")?;
    scanner.value()?;
    scanner.literal(b",\"after\":")?;
    let mut renamed = false;
    let after = row(&mut scanner, &mut renamed)?;
    scanner.literal(b",\"source\":")?;
    let (seq, ts_ms, table_version) = source(&mut scanner)?;
    scanner.literal(b",\"transaction\":")?;
    scanner.value()?;
    scanner.literal(b",\"op\":\"")?;
    let op = [b'c', b'u', b'd', b'r'].into_iter().find(|op| scanner.byte(*op).is_some())?;
    scanner.literal(b"\",\"ts_ms\":")?;
    whole::<u64>(scanner.value()?)?;
    scanner.literal(b",\"ts_us\":")?;
    whole::<u64>(scanner.value()?)?;
    scanner.byte(b'}')?;
    (scanner.at_end() && (op == b'd') == after.is_none()).then_some(())?;
    Some(Event { op, after, renamed, seq, ts_ms, table_version })
}

fn row<'a>(scanner: &mut Scanner<'a>, renamed: &mut bool) -> Option<Option<&'a [u8]>> {
    if scanner.literal(b"null").is_some() {
        return Some(None);
    }
    let row = scanner.members(|scanner, name| {
        *renamed |= name[1] == b'_' || name.iter().any(|byte| matches!(byte, b'.' | b'%' | b'\\'));
        scanner.value().map(drop)
    })?;
    Some(Some(row))
}

fn source(scanner: &mut Scanner<'_>) -> Option<(u64, u64, u64)> {
    let (mut seq, mut ts_ms, mut table_version) = (None, None, None);
    scanner.members(|scanner, name| {
        let value = scanner.value()?;
        match name {
            b"\"seq\"" => seq = Some(whole(value)?),
            b"\"ts_ms\"" => ts_ms = Some(whole(value)?),
            b"\"table_version\"" => table_version = Some(whole(value)?),
            _ if name.contains(&b'\\') => return None, // it may be one of these
            _ => {}
        }
        Some(())
    })?;
    Some((seq?, ts_ms?, table_version?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"{"version":"0.1.0","name":"shop","ts_ms":17,"table_version":3,"seq":1024}"#;

    fn event(before: &str, after: &str, op: &str) -> String {
        format!(
            r#"{{"before":{before},"after":{after},"source":{SOURCE},"transaction":null,"op":"{op}","ts_ms":18,"ts_us":18001}}"#
        )
    }

    #[test]
    fn reads_a_change() {
        let text = event("null", r#"{"id":1,"a":{"_b":2}}"#, "c");
        let found = read(text.as_bytes()).unwrap();
        assert_eq!((found.op, found.seq, found.ts_ms, found.table_version), (b'c', 1024, 17, 3));
        assert_eq!(found.after, Some(br#"{"id":1,"a":{"_b":2}}"#.as_slice()));
        assert!(!found.renamed);
    }

    #[test]
    fn reads_a_delete() {
        let text = event(r#"{"id":1}"#, "null", "d");
        assert_eq!(read(text.as_bytes()).unwrap().after, None);
    }

    #[test]
    fn tells_of_fields_with_other_names() {
        for name in ["_id", "a.b", "50%", "a\\\"b"] {
            let text = event("null", &format!(r#"{{"id":1,"{name}":2}}"#), "u");
            assert!(read(text.as_bytes()).unwrap().renamed, "{name}");
        }
    }

    #[test]
    fn leaves_what_is_different() {
        let usual = event("null", r#"{"id":1}"#, "c");
        assert!(read(usual.as_bytes()).is_some());
        for (from, to) in [
            ("\"op\":\"c\"", "\"op\":\"t\""),
            ("\"op\":\"c\"", "\"op\":\"d\""),
            ("\"op\":\"c\"", "\"op\":\"cc\""),
            ("\"seq\":1024", "\"seq\":\"1024\""),
            ("\"seq\":1024", "\"sequence\":1024"),
            ("\"seq\":1024", "\"seq\":-1"),
            ("\"seq\":1024", "\"seq\":1024,\"s\\u0065q\":2048"),
            ("\"before\":null,", ""),
            ("null,\"after\"", "null, \"after\""),
            ("18001}", "18001}}"),
            ("18001}", "18001"),
            ("{\"id\":1}", "[1]"),
            ("{\"id\":1}", "null"),
            ("\"ts_us\"", "\"more\":1,\"ts_us\""),
        ] {
            let text = usual.replace(from, to);
            assert_ne!(text, usual, "{from}");
            assert!(read(text.as_bytes()).is_none(), "{text}");
        }
        for end in 0..usual.len() {
            assert!(read(&usual.as_bytes()[..end]).is_none(), "{end}");
        }
    }
}
