//! A table map, and a rows event for it: the type of the rows event, the map's length, the map, the rows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidemark_fuzz::{decoder, event, feed, format_description};

const KINDS: [u8; 7] = [30, 31, 32, 39, 23, 24, 25];

fuzz_target!(|data: &[u8]| {
    let [kind, low, high, rest @ ..] = data else { return };
    let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
    let (map, rows) = rest.split_at(length);
    let kind = KINDS[usize::from(*kind) % KINDS.len()];
    let events = [format_description(), event(19, map), event(kind, rows), event(16, &[0; 8])];
    feed(&mut decoder(), events.iter().map(Vec::as_slice));
});
