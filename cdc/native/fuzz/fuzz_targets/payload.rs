//! A TRANSACTION_PAYLOAD event's body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidemark_fuzz::{decoder, event, feed, format_description};

fuzz_target!(|data: &[u8]| {
    let events = [format_description(), event(40, data)];
    feed(&mut decoder(), events.iter().map(Vec::as_slice));
});
