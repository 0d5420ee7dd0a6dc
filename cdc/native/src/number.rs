//! DECIMAL and FLOAT.

use crate::fault::{Fault, Result};
use crate::json;

const GROUP: usize = 9;
/// Bytes that hold 0..9 leftover decimal digits (`decimal_bin_size` in `strings/decimal.cc`).
const DIGIT_BYTES: [usize; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];
const MOST_DIGITS: usize = 90; // MySQL allows 65, and keeps up to 81 inside

/// How a DECIMAL(precision, scale) is laid out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decimal {
    whole: usize,
    scale: usize,
}

impl Decimal {
    pub fn new(precision: usize, scale: usize) -> Result<Decimal> {
        if scale > precision || precision > MOST_DIGITS || precision == 0 {
            return Fault::undecodable(format!("DECIMAL({precision},{scale}) is none of MySQL's"));
        }
        Ok(Decimal { whole: precision - scale, scale })
    }

    pub fn bytes(self) -> usize {
        let size = |digits: usize| digits / GROUP * 4 + DIGIT_BYTES[digits % GROUP];
        size(self.whole) + size(self.scale)
    }

    /// The digits, with exactly `scale` of them after the point. `raw` has `bytes()` bytes.
    pub fn text(self, out: &mut Vec<u8>, raw: &[u8]) -> Result<()> {
        let (whole, scale) = (self.whole, self.scale);
        let negative = raw.first().is_none_or(|first| first & 0x80 == 0);
        let flip = if negative { 0xff } else { 0 };
        let mut digits = [b'0'; MOST_DIGITS + GROUP];
        let (mut at, mut filled) = (0, 0);
        let widths = [whole % GROUP]
            .into_iter()
            .chain(std::iter::repeat_n(GROUP, whole / GROUP))
            .chain(std::iter::repeat_n(GROUP, scale / GROUP))
            .chain([scale % GROUP]);
        for width in widths {
            let size = DIGIT_BYTES[width];
            let mut value = 0_u32;
            for byte in raw.get(at..at + size).unwrap_or_default() {
                let sign = if at == 0 { 0x80 } else { 0 };
                value = value << 8 | u32::from(byte ^ sign ^ flip);
                at += 1;
            }
            for place in (filled..filled + width).rev() {
                digits[place] = b'0' + (value % 10) as u8;
                value /= 10;
            }
            if value != 0 {
                return Fault::undecodable("a DECIMAL has more digits than its place holds");
            }
            filled += width;
        }
        if negative {
            out.push(b'-');
        }
        let leading = digits[..whole].iter().take_while(|digit| **digit == b'0').count();
        if leading == whole {
            out.push(b'0')
        } else {
            out.extend_from_slice(&digits[leading..whole])
        }
        if scale > 0 {
            out.push(b'.');
            out.extend_from_slice(&digits[whole..whole + scale]);
        }
        Ok(())
    }
}

/// The float64 with the shortest digits that read back as the same float32; null for NaN and infinities.
pub fn float32(out: &mut Vec<u8>, value: f32) {
    if !value.is_finite() {
        return out.extend_from_slice(json::NULL);
    }
    if value.fract() == 0.0 && value.abs() < 16_777_216.0 {
        return json::float(out, f64::from(value));
    }
    json::float(out, shortest(value));
}

fn shortest(value: f32) -> f64 {
    // Below a power of two floats are twice as dense as above, so the shortest digits need not be the nearest ones:
    // there, and among the smallest, ask for ever more digits.
    let bits = value.to_bits();
    if bits & 0x7f_ffff == 0 || bits & 0x7f80_0000 == 0 {
        return rounded(value);
    }
    zmij::Buffer::new().format_finite(value).parse().unwrap_or(f64::from(value))
}

fn rounded(value: f32) -> f64 {
    let first = if value.abs() >= f32::MIN_POSITIVE { 6 } else { 1 };
    for digits in first..10 {
        let short: f64 = format!("{:.*e}", digits - 1, f64::from(value)).parse().unwrap_or(f64::NAN);
        if short as f32 == value {
            return short;
        }
    }
    f64::from(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(precision: usize, scale: usize, raw: &[u8]) -> String {
        let mut out = Vec::new();
        let layout = Decimal::new(precision, scale).unwrap();
        assert_eq!(layout.bytes(), raw.len());
        layout.text(&mut out, raw).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn decimals_keep_every_digit() {
        assert_eq!(decimal(14, 4, &[0x81, 0x0d, 0xfb, 0x38, 0xd2, 0x04, 0xd2]), "1234567890.1234");
        assert_eq!(decimal(14, 4, &[0x7e, 0xf2, 0x04, 0xc7, 0x2d, 0xfb, 0x2d]), "-1234567890.1234");
        assert_eq!(decimal(4, 2, &[0x80, 0x00]), "0.00");
    }

    #[test]
    fn impossible_decimals_are_refused() {
        assert!(Decimal::new(2, 3).is_err());
        assert!(Decimal::new(255, 0).is_err());
        assert!(Decimal::new(1, 0).unwrap().text(&mut Vec::new(), &[0xff]).is_err());
    }

    #[test]
    fn floats_are_the_shortest_that_read_back() {
        for (value, text) in [
            (2.345_678_f32, "2.345678"),
            (0.1, "0.1"),
            (16_777_216.0, "16777216.0"),
            (1e-45, "1e-45"),
            (3e10, "30000000000.0"),
        ] {
            let mut out = Vec::new();
            float32(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
