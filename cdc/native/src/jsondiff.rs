//! Partial updates of JSON columns: the differences applied to the value before (`apply_json_diffs` in `json_diff.cc`).

use crate::cursor::Cursor;
use crate::fault::{Fault, Result};
use crate::json;
use crate::jsonb::{self, Value};

const DEEPEST: usize = 200;
const REPLACE: u8 = 0;
const INSERT: u8 = 1;
const REMOVE: u8 = 2;

/// A document that can be changed; scalars are kept as JSON text.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    Object(Vec<(Vec<u8>, Node)>),
    Array(Vec<Node>),
    Scalar(Vec<u8>),
}

#[derive(Debug, PartialEq)]
enum Leg {
    Member(Vec<u8>),
    Cell(usize),
}

/// The value after all differences, as JSON text. `before`: the stored document; `diffs`: the list as it was logged.
pub fn write(out: &mut Vec<u8>, before: &[u8], diffs: &[u8]) -> Result<()> {
    let mut document = parse(before)?;
    let mut cursor = Cursor::new(diffs);
    while !cursor.is_empty() {
        let operation = cursor.u8()?;
        let path = legs(cursor.packed_bytes()?)?;
        let value = if operation == REMOVE { None } else { Some(parse(cursor.packed_bytes()?)?) };
        if !apply(&mut document, operation, &path, value) {
            return Fault::undecodable("a difference of a JSON document does not fit the document before it");
        }
    }
    text(out, &document)
}

fn parse(raw: &[u8]) -> Result<Node> {
    match raw {
        [] => Ok(Node::Scalar(json::NULL.to_vec())),
        [kind, bytes @ ..] => {
            let mut left = raw.len();
            node(&Value { kind: *kind, bytes }, 0, &mut left)
        }
    }
}

fn node(value: &Value, depth: usize, left: &mut usize) -> Result<Node> {
    let Some(container) = value.container()? else {
        let mut text = Vec::new();
        jsonb::scalar(&mut text, value)?;
        return Ok(Node::Scalar(text));
    };
    if depth > DEEPEST || container.count > *left {
        return Fault::undecodable("a JSON document is nested too deeply, or has more values than bytes");
    }
    *left -= container.count;
    if !container.object {
        let cells = (0..container.count).map(|number| node(&container.value(number)?, depth + 1, left));
        return Ok(Node::Array(cells.collect::<Result<_>>()?));
    }
    let mut members = Vec::with_capacity(container.count);
    for number in 0..container.count {
        members.push((container.key(number)?.to_vec(), node(&container.value(number)?, depth + 1, left)?));
    }
    Ok(Node::Object(members))
}

fn text(out: &mut Vec<u8>, node: &Node) -> Result<()> {
    match node {
        Node::Scalar(text) => out.extend_from_slice(text),
        Node::Array(cells) => {
            out.push(b'[');
            for (number, cell) in cells.iter().enumerate() {
                out.extend_from_slice(if number > 0 { b"," } else { b"" });
                text(out, cell)?;
            }
            out.push(b']');
        }
        Node::Object(members) => {
            out.push(b'{');
            for (number, (key, value)) in members.iter().enumerate() {
                out.extend_from_slice(if number > 0 { b"," } else { b"" });
                if !json::utf8(out, key) {
                    return Fault::undecodable("a key inside JSON is not UTF-8");
                }
                out.push(b':');
                text(out, value)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

/// False if the path does not lead anywhere.
fn apply(document: &mut Node, operation: u8, path: &[Leg], value: Option<Node>) -> bool {
    match (operation, value) {
        (REPLACE, Some(value)) => match seek(document, path) {
            Some(found) => {
                *found = value;
                true
            }
            None => false,
        },
        (INSERT, Some(value)) => insert(document, path, value),
        (REMOVE, None) => remove(document, path),
        _ => false,
    }
}

fn seek<'a>(document: &'a mut Node, path: &[Leg]) -> Option<&'a mut Node> {
    let Some((leg, rest)) = path.split_first() else { return Some(document) };
    match (leg, document) {
        (Leg::Member(name), Node::Object(members)) => {
            seek(members.iter_mut().find(|(key, _)| key == name).map(|(_, value)| value)?, rest)
        }
        (Leg::Cell(index), Node::Array(cells)) => seek(cells.get_mut(*index)?, rest),
        (Leg::Cell(0), scalar) => seek(scalar, rest), // a path treats what is no array as an array of one
        _ => None,
    }
}

fn insert(document: &mut Node, path: &[Leg], value: Node) -> bool {
    let Some((leg, parents)) = path.split_last() else { return false };
    match (leg, seek(document, parents)) {
        (Leg::Cell(index), Some(Node::Array(cells))) => {
            cells.insert((*index).min(cells.len()), value);
            true
        }
        (Leg::Member(name), Some(Node::Object(members))) => {
            // Objects are sorted by the length of the key, then bytewise.
            let order = |key: &[u8]| (key.len(), key.to_vec());
            match members.binary_search_by_key(&order(name), |(key, _)| order(key)) {
                Ok(_) => false,
                Err(place) => {
                    members.insert(place, (name.clone(), value));
                    true
                }
            }
        }
        _ => false,
    }
}

fn remove(document: &mut Node, path: &[Leg]) -> bool {
    let Some((leg, parents)) = path.split_last() else { return false };
    match (leg, seek(document, parents)) {
        (Leg::Cell(index), Some(Node::Array(cells))) if *index < cells.len() => {
            cells.remove(*index);
            true
        }
        (Leg::Member(name), Some(Node::Object(members))) => {
            let before = members.len();
            members.retain(|(key, _)| key != name);
            members.len() < before
        }
        _ => false,
    }
}

/// `$.name."quoted name"[3]`, as the server writes it: no wildcards, no ranges.
fn legs(path: &[u8]) -> Result<Vec<Leg>> {
    let Some(mut rest) = path.strip_prefix(b"$") else { return strange(path) };
    let mut found = Vec::new();
    while let Some((first, after)) = rest.split_first() {
        let (leg, next) = match first {
            b'.' if after.first() == Some(&b'"') => quoted(after)?,
            b'.' => {
                let end = after.iter().position(|byte| matches!(byte, b'.' | b'[')).unwrap_or(after.len());
                (Leg::Member(after[..end].to_vec()), &after[end..])
            }
            b'[' => cell(after)?,
            _ => return strange(path),
        };
        found.push(leg);
        rest = next;
    }
    Ok(found)
}

fn quoted(path: &[u8]) -> Result<(Leg, &[u8])> {
    let mut end = 1;
    while end < path.len() && path[end] != b'"' {
        end += if path[end] == b'\\' { 2 } else { 1 };
    }
    let Some(raw) = path.get(..=end) else { return strange(path) };
    match serde_json::from_slice::<String>(raw) {
        Ok(name) => Ok((Leg::Member(name.into_bytes()), &path[end + 1..])),
        Err(_) => strange(path),
    }
}

fn cell(path: &[u8]) -> Result<(Leg, &[u8])> {
    let end = path.iter().position(|byte| *byte == b']').unwrap_or(0);
    match std::str::from_utf8(&path[..end]).ok().and_then(|digits| digits.trim().parse().ok()) {
        Some(index) => Ok((Leg::Cell(index), &path[end + 1..])),
        None => strange(path),
    }
}

fn strange<T>(path: &[u8]) -> Result<T> {
    Fault::undecodable(format!("a JSON path cannot be read: {}", String::from_utf8_lossy(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    // {"a": 1, "b": [true]}
    const BEFORE: &[u8] =
        b"\x00\x02\x00\x1e\x00\x12\x00\x01\x00\x13\x00\x01\x00\x05\x01\x00\x02\x14\x00ab\x01\x00\x07\x00\x04\x01\x00";

    fn diff(operation: u8, path: &str, value: &[u8]) -> Vec<u8> {
        let mut raw = vec![operation, path.len() as u8];
        raw.extend(path.as_bytes());
        if operation != REMOVE {
            raw.push(value.len() as u8);
            raw.extend(value);
        }
        raw
    }

    fn after(diffs: &[Vec<u8>]) -> Result<String> {
        let mut out = Vec::new();
        write(&mut out, BEFORE, &diffs.concat()).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn applies_every_difference_of_the_list() {
        let seven = b"\x05\x07\x00";
        let list = [
            diff(REPLACE, "$.a", seven),
            diff(INSERT, "$.b[9]", seven),
            diff(INSERT, "$.\"x y\"", seven),
            diff(INSERT, "$.aa", seven),
            diff(REMOVE, "$.b[0]", b""),
        ];
        assert_eq!(after(&list).unwrap(), r#"{"a":7,"b":[7],"aa":7,"x y":7}"#);
    }

    #[test]
    fn refuses_what_does_not_fit() {
        assert!(after(&[diff(REPLACE, "$.c", b"\x05\x07\x00")]).is_err());
        assert!(after(&[diff(REMOVE, "$", b"")]).is_err());
        assert!(after(&[diff(3, "$.a", b"")]).is_err());
        assert!(after(&[diff(REMOVE, "$.*", b"")]).is_err());
        assert!(legs(b"$[").is_err() && legs(b"$.\"a").is_err() && legs(b"a").is_err());
    }
}
