//! A Kafka key as the text of a row key, as `schemas.key.key_text` tells it.

use std::borrow::Cow;

use crate::scan::{Scanner, whole};

const MOST_COLUMNS: usize = 16; // of a key in MySQL

/// The text; None for what is no key of the usual kind: numbers and strings without an escape.
pub fn text(key: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut scanner = Scanner::new(key)?;
    let mut first: Option<&[u8]> = None;
    let mut several: Vec<u8> = Vec::new();
    let (mut names, mut count) = ([b"".as_slice(); MOST_COLUMNS], 0);
    scanner.members(|scanner, name| {
        let value = scanner.value()?;
        // Of a name that comes twice only the last counts.
        (usual(value) && !names[..count].contains(&name) && !name.contains(&b'\\')).then_some(())?;
        *names.get_mut(count)? = name;
        count += 1;
        match first {
            None => first = Some(value),
            Some(found) if several.is_empty() => several.extend([b"[", found, b",", value].concat()),
            Some(_) => {
                several.push(b',');
                several.extend_from_slice(value);
            }
        }
        Some(())
    })?;
    scanner.at_end().then_some(())?;
    if several.is_empty() {
        return Some(Cow::Borrowed(inner(first?)));
    }
    several.push(b']');
    Some(Cow::Owned(several))
}

fn usual(value: &[u8]) -> bool {
    match value[0] {
        b'"' => !value.contains(&b'\\'),
        b'-' => whole::<i64>(value).is_some(),
        _ => whole::<u64>(value).is_some(),
    }
}

fn inner(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(key: &str) -> Option<String> {
        text(key.as_bytes()).map(|found| String::from_utf8(found.into_owned()).unwrap())
    }

    #[test]
    fn tells_keys() {
        assert_eq!(told(r#"{"id":12}"#).as_deref(), Some("12"));
        assert_eq!(told(r#"{"id":-12}"#).as_deref(), Some("-12"));
        assert_eq!(told(r#"{"name":"Zürich"}"#).as_deref(), Some("Zürich"));
        assert_eq!(told(r#"{"name":""}"#).as_deref(), Some(""));
        assert_eq!(told(r#"{"a":1,"b":"x","c":-3}"#).as_deref(), Some(r#"[1,"x",-3]"#));
    }

    #[test]
    fn leaves_what_is_different() {
        for key in [
            r#"{"a":"x\"y"}"#,
            r#"{"a":1.5}"#,
            r#"{"a":null}"#,
            r#"{"a":true}"#,
            r#"{"a":[1]}"#,
            "{}",
            r#""barrier""#,
            "12",
            r#"{"a": 1}"#,
            r#"{"a":1} "#,
            r#"{"a":-0}"#,
            r#"{"a":18446744073709551616}"#,
            "",
            r#"{"a":1,"b":1e2}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
        ] {
            assert_eq!(told(key), None, "{key}");
        }
    }
}
