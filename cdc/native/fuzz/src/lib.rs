//! What the targets share: a host that knows tables by their maps, and what every answer has to be like.

mod layout;

use serde::Deserialize;
use serde::de::IgnoredAny;
use tidemark_native::batch::{Batch, Position};
use tidemark_native::charset::{Charset, Table};
use tidemark_native::decoder::{Config, Decoder};
use tidemark_native::envelope::source_head;
use tidemark_native::fault::Result;
use tidemark_native::host::{Action, Host, Statement, Verdict};
use tidemark_native::table::TableSpec;

/// Answers as tidemark's Python code does, as far as the decoder can tell.
pub struct Stub;

impl Host for Stub {
    fn table(&mut self, body: &[u8]) -> Result<Option<TableSpec>> {
        layout::table(body).map(Some)
    }

    fn charset(&mut self, _name: &str) -> Result<Charset> {
        let singles = (0..256).map(|code| if code < 0xf0 { code } else { u32::MAX }).collect();
        Ok(Charset::Table(Box::new(Table { singles, ascii: true, ..Table::default() })))
    }

    fn statement(&mut self, asked: &Statement) -> Result<Verdict> {
        let action = match asked.body.last() {
            Some(b'0') => Action::XaStart,
            Some(b'1') => Action::Rollback,
            Some(b'2') => Action::RollbackTo,
            Some(b'3') => Action::Nothing,
            _ => Action::Other,
        };
        Ok(Verdict { action, thread: 7, ddl: None, records: Vec::new(), bytes: 0, seq: asked.seq })
    }

    fn prepared(&mut self, _body: &[u8]) -> Result<()> {
        Ok(())
    }
}

/// A decoder whose batches and events are small, so that their limits are met.
pub fn decoder() -> Decoder {
    let config = Config {
        source_head: source_head("0", "mysql", "fuzz"),
        start: Position { file: "bin.000001".into(), pos: 4, seq: 1024, ..Position::default() },
        batch_events: 20,
        batch_bytes: 1 << 16,
        event_bytes: 1 << 12,
        now_us: Some(1),
        no_gtid_before: true,
    };
    Decoder::new(config, Box::new(Stub)).expect("the start is well-formed")
}

/// Feeds events until one is refused, and looks at all that comes out.
pub fn feed<'a>(decoder: &mut Decoder, events: impl IntoIterator<Item = &'a [u8]>) {
    for raw in events {
        let fed = decoder.feed(raw, &mut |batch| {
            check(&batch);
            Ok(())
        });
        if fed.is_err() {
            assert!(!decoder.place().is_empty());
            return;
        }
    }
    if let Some(rest) = decoder.take() {
        check(&rest);
    }
}

/// A file that tells of no checksums.
pub fn format_description() -> Vec<u8> {
    let mut body = vec![4, 0];
    body.extend(b"9.7.0");
    body.resize(2 + 50 + 5 + 41, 0);
    body.extend([0; 5]);
    event(15, &body)
}

/// An event without a checksum.
pub fn event(kind: u8, body: &[u8]) -> Vec<u8> {
    let size = (19 + body.len()) as u32;
    let mut raw = vec![1, 0, 0, 0, kind, 1, 0, 0, 0];
    raw.extend(size.to_le_bytes());
    raw.extend([0; 6]);
    raw.extend(body);
    raw
}

/// Every key and value is JSON.
fn check(batch: &Batch) {
    for record in &batch.records {
        is_json(batch.bytes_of(record.key));
        record.value.map(|value| is_json(batch.bytes_of(value)));
        record.header.map(|(_, header)| is_json(batch.bytes_of(header)));
    }
}

pub fn is_json(text: &[u8]) {
    let mut reader = serde_json::Deserializer::from_slice(text);
    reader.disable_recursion_limit();
    let found = IgnoredAny::deserialize(&mut reader).and_then(|_| reader.end());
    assert!(found.is_ok() && std::str::from_utf8(text).is_ok(), "{found:?}: {}", String::from_utf8_lossy(text));
}
