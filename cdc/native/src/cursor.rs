//! A reader over bytes that never reads past their end.

use crate::fault::{Fault, Result};

#[derive(Clone)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Cursor { bytes, at: 0 }
    }

    #[inline]
    pub fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        match self.bytes.get(self.at..).and_then(|rest| rest.get(..count)) {
            Some(found) => {
                self.at += count;
                Ok(found)
            }
            None => self.short(count),
        }
    }

    #[cold]
    fn short<T>(&self, count: usize) -> Result<T> {
        Fault::undecodable(format!("{count} bytes are wanted at {} of {}", self.at, self.bytes.len()))
    }

    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut found = [0; N];
        found.copy_from_slice(self.take(N)?);
        Ok(found)
    }

    #[inline]
    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    #[inline]
    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    #[inline]
    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    #[inline]
    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A little-endian number of up to eight bytes.
    #[inline]
    pub fn little(&mut self, count: usize) -> Result<u64> {
        Ok(self.take(count)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// A big-endian number of up to eight bytes.
    #[inline]
    pub fn big(&mut self, count: usize) -> Result<u64> {
        Ok(self.take(count)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// A length-encoded integer.
    pub fn packed(&mut self) -> Result<u64> {
        match self.u8()? {
            first @ 0..=250 => Ok(u64::from(first)),
            252 => self.little(2),
            253 => self.little(3),
            254 => self.little(8),
            first => Fault::undecodable(format!("a packed number begins with {first}")),
        }
    }

    /// A length-encoded string.
    pub fn packed_bytes(&mut self) -> Result<&'a [u8]> {
        let count = self.packed()?;
        self.take(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Up to a zero byte, which is passed.
    pub fn until_zero(&mut self) -> Result<&'a [u8]> {
        let rest = self.rest();
        match rest.iter().position(|byte| *byte == 0) {
            Some(end) => {
                self.at += end + 1;
                Ok(&rest[..end])
            }
            None => self.short(rest.len() + 1),
        }
    }

    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// MySQL's serialization library: the lowest bits of the first byte count the bytes that follow.
    pub fn varlen(&mut self) -> Result<u64> {
        let first = self.rest().first().copied().unwrap_or_default();
        let count = first.trailing_ones() as usize + 1;
        if count == 9 {
            self.u8()?;
            return self.u64();
        }
        Ok(self.little(count)? >> count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_reads_past_the_end() {
        let mut cursor = Cursor::new(&[254, 1, 2]);
        assert!(cursor.packed().is_err());
        assert!(Cursor::new(&[5, 1]).packed_bytes().is_err());
        assert!(Cursor::new(&[]).u8().is_err());
        assert!(Cursor::new(b"abc").until_zero().is_err());
    }

    #[test]
    fn reads_the_serialization_librarys_numbers() {
        assert_eq!(Cursor::new(&[0b10]).varlen().unwrap(), 1);
        assert_eq!(Cursor::new(&[0b0000_0001, 0b10]).varlen().unwrap(), 128);
        assert_eq!(Cursor::new(&[0xff, 1, 0, 0, 0, 0, 0, 0, 0x80]).varlen().unwrap(), 1 | 1 << 63);
    }
}
