//! A JSON document, and differences for it: the document's length, the document, the differences.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidemark_fuzz::is_json;
use tidemark_native::{jsonb, jsondiff};

fuzz_target!(|data: &[u8]| {
    let [low, high, rest @ ..] = data else { return };
    let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
    let (document, diffs) = rest.split_at(length);
    let (mut plain, mut same, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    let read = jsonb::write(&mut plain, document).is_ok();
    if read {
        is_json(&plain);
    }
    if jsondiff::write(&mut same, document, &[]).is_ok() {
        is_json(&same);
        assert!(!read || plain == same, "no difference makes one");
    }
    if jsondiff::write(&mut changed, document, diffs).is_ok() {
        is_json(&changed);
    }
});
