//! Passes over JSON as tidemark writes it: without white space between its tokens. It is checked, and nothing is made of it.

const DEEPEST: usize = 120; // MySQL's own limit for a JSON document is 100
const LONGEST_NUMBER: usize = 200;
const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// A place in bytes that are known to be UTF-8. Every step is None where the JSON is wrong, or out of the ordinary.
pub struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    pub fn new(bytes: &'a [u8]) -> Option<Scanner<'a>> {
        std::str::from_utf8(bytes).ok()?;
        Some(Scanner { bytes, at: 0 })
    }

    #[inline]
    pub fn at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    #[inline]
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    /// The next byte, if it is this one.
    #[inline]
    pub fn byte(&mut self, wanted: u8) -> Option<()> {
        (self.peek() == wanted).then(|| self.at += 1)
    }

    #[inline]
    pub fn literal(&mut self, text: &[u8]) -> Option<()> {
        self.bytes[self.at..].starts_with(text).then(|| self.at += text.len())
    }

    /// Any value; its text.
    #[inline]
    pub fn value(&mut self) -> Option<&'a [u8]> {
        self.nested(0)
    }

    fn nested(&mut self, depth: usize) -> Option<&'a [u8]> {
        let begin = self.at;
        match self.peek() {
            b'"' => return self.string(),
            b'{' if depth < DEEPEST => {
                self.members(|scanner, _| scanner.nested(depth + 1).map(drop))?;
            }
            b'[' if depth < DEEPEST => self.array(depth)?,
            b'n' => self.literal(b"null")?,
            b't' => self.literal(b"true")?,
            b'f' => self.literal(b"false")?,
            _ => self.number()?,
        }
        Some(&self.bytes[begin..self.at])
    }

    /// An object; `each` is given every member's name as it is written, quotes included, and passes over its value.
    #[inline]
    pub fn members(&mut self, mut each: impl FnMut(&mut Self, &'a [u8]) -> Option<()>) -> Option<&'a [u8]> {
        let begin = self.at;
        self.byte(b'{')?;
        if self.byte(b'}').is_none() {
            loop {
                let name = self.string()?;
                self.byte(b':')?;
                each(self, name)?;
                if self.byte(b',').is_none() {
                    break;
                }
            }
            self.byte(b'}')?;
        }
        Some(&self.bytes[begin..self.at])
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.byte(b'[')?;
        if self.byte(b']').is_some() {
            return Some(());
        }
        loop {
            self.nested(depth + 1)?;
            if self.byte(b',').is_none() {
                return self.byte(b']');
            }
        }
    }

    /// A string as it is written, quotes included.
    #[inline]
    pub fn string(&mut self) -> Option<&'a [u8]> {
        let begin = self.at;
        self.byte(b'"')?;
        loop {
            self.at += plain(&self.bytes[self.at..]);
            match self.peek() {
                b'"' => {
                    self.at += 1;
                    return Some(&self.bytes[begin..self.at]);
                }
                b'\\' => self.escape()?,
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        let kind = *self.bytes.get(self.at + 1)?;
        self.at += 2;
        match kind {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let digits = self.bytes.get(self.at..self.at + 4)?;
                // Halves of a surrogate pair are left to whoever looks closer.
                let odd = matches!(digits[0], b'd' | b'D') && digits[1] > b'7';
                self.at += 4;
                (!odd && digits.iter().all(u8::is_ascii_hexdigit)).then_some(())
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<()> {
        let begin = self.at;
        let _ = self.byte(b'-');
        if self.byte(b'0').is_none() {
            self.digits()?;
        }
        if self.byte(b'.').is_some() {
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            let _ = self.byte(b'+').or_else(|| self.byte(b'-'));
            // More than a double may hold is nothing that a row has.
            self.digits().filter(|count| *count <= 2)?;
        }
        (self.at - begin <= LONGEST_NUMBER).then_some(())
    }

    fn digits(&mut self) -> Option<usize> {
        let count = self.bytes[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        (count > 0).then_some(count)
    }
}

/// How many bytes of a string's inside come before a quote, a backslash or a control character, at most all.
#[inline]
fn plain(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(chunk) = bytes[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let found = zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\'))) | below_space(word);
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + bytes[at..].iter().take_while(|byte| **byte >= b' ' && **byte != b'"' && **byte != b'\\').count()
}

/// The lowest bit that is set marks the first byte that is zero.
#[inline]
fn zero(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGHS
}

/// The lowest bit that is set marks the first control character.
#[inline]
fn below_space(word: u64) -> u64 {
    word.wrapping_sub(ONES * 0x20) & !word & HIGHS
}

/// A whole number as JSON writes it, if it fits into 64 bits.
#[inline]
pub fn whole<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = digits.iter().all(u8::is_ascii_digit) && (digits.first()? != &b'0' || text == b"0");
    if canonical { std::str::from_utf8(text).ok()?.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(text: &str) -> bool {
        let mut scanner = Scanner::new(text.as_bytes()).unwrap();
        scanner.value().is_some_and(|found| found == text.as_bytes()) && scanner.at_end()
    }

    #[test]
    fn passes_over_what_is_json() {
        for text in [
            "{}",
            "[]",
            "null",
            "true",
            "false",
            "0",
            "-1",
            "1.5",
            "-0.0",
            "1e+30",
            "12E-9",
            "\"\"",
            "\"a long text with \\\" and \\u001f and é\"",
            r#"{"a":[1,{"b":[]},"c"],"d":{"e":null}}"#,
        ] {
            assert!(passes(text), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_none_or_odd() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        let long = "1".repeat(201);
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\"}",
            "{\"a\":1,}",
            "01",
            "-",
            "1.",
            ".5",
            "+1",
            "1e",
            "1e400",
            "nul",
            "\"a",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\ud800\"",
            "\"a\nb\"",
            "\"eight ch\u{1}\"",
            "{ }",
            "[1, 2]",
            "1 ",
            "NaN",
            &deep,
            &long,
        ] {
            assert!(!passes(text), "{text}");
        }
        assert!(Scanner::new(b"\"\xff\"").is_none());
    }

    #[test]
    fn finds_the_first_byte_that_ends_plain_text() {
        for end in [b'"', b'\\', 0x1f, 0] {
            for length in 0..40 {
                let mut text = "\u{e9}x\u{80}\u{7f} ~!#[]".repeat(8).into_bytes();
                text[length] = end;
                assert_eq!(plain(&text), length, "{end} at {length}");
                assert_eq!(plain(&text[..length]), length);
            }
        }
    }

    #[test]
    fn reads_whole_numbers() {
        assert_eq!(whole::<u64>(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(whole::<i64>(b"-12"), Some(-12));
        for odd in ["", "-", "-0", "01", "1.0", "1e3", "18446744073709551616", "+1", "-1"] {
            assert_eq!(whole::<u64>(odd.as_bytes()), None, "{odd}");
        }
    }
}
