//! The lines of a bulk request that a record asks for, as `sink.action` makes them of a table without rules.

use xxhash_rust::xxh3::xxh3_64;

const ID_LIMIT_BYTES: usize = 512; // Elasticsearch refuses a longer _id
const HASHED: &[u8] = b"sha256:";
const FINGERPRINT_MASK: u64 = (1 << 26) - 1;

/// What the documents of one partition have in common, as JSON: the heads of both actions up to `_id`, the inside of
/// `_cdc` between key and offset.
pub struct Origin<'a> {
    pub index: &'a [u8],
    pub delete: &'a [u8],
    pub block: &'a [u8],
    pub partition: u32,
}

/// One record's place in the order of its key.
#[derive(Clone, Copy)]
pub struct Place {
    pub offset: u64,
    pub seq: u64,
    pub ts_ms: u64,
}

/// As `schemas.document.fingerprint_of`.
pub fn fingerprint(key: &[u8], partition: u32, offset: u64) -> u64 {
    let mut text = [0_u8; 1024];
    let length = key.len();
    let place = [&[0], partition.to_be_bytes().as_slice(), offset.to_be_bytes().as_slice()].concat();
    let digest = match text.get_mut(..length + place.len()) {
        Some(room) => {
            room[..length].copy_from_slice(key);
            room[length..].copy_from_slice(&place);
            xxh3_64(room)
        }
        None => xxh3_64(&[key, &place].concat()),
    };
    digest & FINGERPRINT_MASK
}

/// A row key's text as its document's id, in JSON; None where the id is another.
pub fn id(text: &[u8]) -> Option<Vec<u8>> {
    if text.is_empty() || text.len() > ID_LIMIT_BYTES || text.starts_with(HASHED) {
        return None;
    }
    let mut json = Vec::with_capacity(text.len() + 2);
    json.push(b'"');
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            json.push(b'\\');
        }
        json.push(*byte);
    }
    json.push(b'"');
    Some(json)
}

impl Origin<'_> {
    /// Append the line that deletes a document.
    pub fn delete(&self, lines: &mut Vec<u8>, id: &[u8], seq: u64) {
        action(lines, self.delete, id, seq);
    }

    /// Append the lines that index a row; `row` is a JSON object that is not empty, without its document's `_cdc`.
    pub fn index(&self, lines: &mut Vec<u8>, text: &[u8], id: &[u8], row: &[u8], place: Place) {
        action(lines, self.index, id, place.seq);
        lines.extend_from_slice(&row[..row.len() - 1]);
        lines.extend_from_slice(b",\"_cdc\":{\"key\":");
        lines.extend_from_slice(id);
        lines.extend_from_slice(self.block);
        number(lines, place.offset);
        lines.extend_from_slice(b",\"seq\":");
        number(lines, place.seq);
        lines.extend_from_slice(b",\"rev\":0,\"fp\":");
        number(lines, fingerprint(text, self.partition, place.offset));
        lines.extend_from_slice(b",\"ts_ms\":");
        number(lines, place.ts_ms);
        lines.extend_from_slice(b"}}\n");
    }
}

fn action(lines: &mut Vec<u8>, head: &[u8], id: &[u8], seq: u64) {
    lines.extend_from_slice(head);
    lines.extend_from_slice(id);
    lines.extend_from_slice(b",\"version\":");
    number(lines, seq);
    lines.extend_from_slice(b",\"version_type\":\"external\"}}\n");
}

fn number(lines: &mut Vec<u8>, value: u64) {
    lines.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_ids() {
        assert_eq!(id(b"12").unwrap(), b"\"12\"");
        assert_eq!(id(br#"["a",1]"#).unwrap(), br#""[\"a\",1]""#);
        assert_eq!(id(&[b'x'; 512]).unwrap().len(), 514);
        for other in [b"".as_slice(), &[b'x'; 513], b"sha256:x"] {
            assert_eq!(id(other), None);
        }
    }

    #[test]
    fn fingerprints_long_keys_like_short_ones() {
        let key = [b'k'; 1011];
        assert_eq!(
            fingerprint(&key, 1, 2),
            xxh3_64(&[&key[..], &[0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]].concat()) & FINGERPRINT_MASK
        );
        let longer = [b'k'; 1012];
        assert_eq!(
            fingerprint(&longer, 1, 2),
            xxh3_64(&[&longer[..], &[0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]].concat()) & FINGERPRINT_MASK
        );
    }

    #[test]
    fn makes_lines() {
        let origin = Origin {
            index: b"{\"index\":{\"_id\":",
            delete: b"{\"delete\":{\"_id\":",
            block: b",\"offset\":",
            partition: 3,
        };
        let (mut lines, place) = (Vec::new(), Place { offset: 7, seq: 1024, ts_ms: 17 });
        origin.index(&mut lines, b"1", b"\"1\"", b"{\"id\":1}", place);
        origin.delete(&mut lines, b"\"1\"", 2048);
        let fp = fingerprint(b"1", 3, 7);
        let index = "{\"index\":{\"_id\":\"1\",\"version\":1024,\"version_type\":\"external\"}}\n";
        let row = format!(
            "{{\"id\":1,\"_cdc\":{{\"key\":\"1\",\"offset\":7,\"seq\":1024,\"rev\":0,\"fp\":{fp},\"ts_ms\":17}}}}\n"
        );
        let delete = "{\"delete\":{\"_id\":\"1\",\"version\":2048,\"version_type\":\"external\"}}\n";
        assert_eq!(String::from_utf8(lines).unwrap(), [index, &row, delete].concat());
    }
}
