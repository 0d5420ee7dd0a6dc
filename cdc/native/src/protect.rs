//! What an event holds instead of a protected column's value: nothing, a mask, or a keyed hash.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::fault::{Fault, Result};
use crate::json;

pub const MASK: &[u8] = b"\"***\"";
const HIDDEN: &str = "a row of a table with protected columns; what exactly is not shown";

#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub enum Protection {
    #[default]
    Plain,
    Excluded,
    Masked,
    Hashed,
}

impl Protection {
    pub fn named(name: &str) -> Result<Protection> {
        Ok(match name {
            "" => Protection::Plain,
            "exclude" => Protection::Excluded,
            "mask" => Protection::Masked,
            "hash" => Protection::Hashed,
            other => return Fault::undecodable(format!("the host protects a column by {other}")),
        })
    }
}

/// An error's text may quote a value: of a protected table only that there was one is told.
pub fn hidden(fault: Box<Fault>) -> Box<Fault> {
    match *fault {
        Fault::Undecodable(_) => Box::new(Fault::Undecodable(HIDDEN.to_owned())),
        _ => fault,
    }
}

/// HMAC-SHA256 with its key worked in.
#[derive(Clone)]
pub struct Hasher(Hmac<Sha256>);

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

impl Hasher {
    pub fn new(key: &[u8]) -> Result<Hasher> {
        match Hmac::new_from_slice(key) {
            Ok(keyed) => Ok(Hasher(keyed)),
            Err(_) => Fault::undecodable("the key of the hashes has no length that HMAC takes"),
        }
    }

    /// The JSON value at the end of `out`, from `start` on, becomes its hash: of a string's text, of anything else's
    /// JSON. Null stays null.
    pub fn replace(&self, out: &mut Vec<u8>, start: usize) -> Result<()> {
        let value = &out[start..];
        if value == json::NULL {
            return Ok(());
        }
        let mut keyed = self.0.clone();
        match value {
            [b'"', text @ .., b'"'] if !text.contains(&b'\\') => keyed.update(text),
            [b'"', ..] => match serde_json::from_slice::<String>(value) {
                Ok(text) => keyed.update(text.as_bytes()),
                Err(_) => return Fault::undecodable(HIDDEN),
            },
            other => keyed.update(other),
        }
        out.truncate(start);
        out.push(b'"');
        for byte in keyed.finalize().into_bytes() {
            json::hex(out, byte);
        }
        out.push(b'"');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(value: &str) -> String {
        let mut out = b"kept".to_vec();
        out.extend_from_slice(value.as_bytes());
        Hasher::new(b"0123456789abcdef0123456789abcdef").unwrap().replace(&mut out, 4).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn hashes_the_text_of_strings_and_the_json_of_the_rest() {
        // printf '%s' 42 | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
        let expected = "3b12d0412db185c98ff58825ed4c81cfbc7bdabcf33ac48bdaaae5f39fc65445";
        assert_eq!(hash("42"), format!("kept\"{expected}\""));
        assert_eq!(hash("42"), hash("\"42\""));
        assert_eq!(hash(r#""a\"b""#), hash("\"a\\u0022b\""));
        assert_ne!(hash("[1]"), hash("[2]"));
        assert_eq!(hash("null"), "keptnull");
    }

    #[test]
    fn shows_nothing_of_the_key() {
        assert_eq!(format!("{:?}", Hasher::new(b"secret").unwrap()), "Hasher");
    }

    #[test]
    fn hides_the_texts_of_errors() {
        let fault = hidden(Box::new(Fault::Undecodable("canary".to_owned())));
        assert!(!format!("{fault:?}").contains("canary"));
        assert!(matches!(*hidden(Box::new(Fault::PartialImage)), Fault::PartialImage));
    }
}
