//! Dates and times as text; zero and partial dates stay what they are.
//! Layouts: `my_datetime_packed_from_binary` and its kin in MySQL's `sql-common/my_time.cc`.

use crate::fault::{Fault, Result};

const DATETIME_OFFSET: i64 = 0x80_0000_0000;
const TIME_OFFSET: i64 = 0x80_0000;

/// Bytes that hold `fsp` digits of a second.
pub fn fraction_bytes(fsp: u8) -> usize {
    usize::from(fsp).div_ceil(2)
}

#[inline]
fn digits(out: &mut Vec<u8>, value: u64, width: usize) {
    let mut buffer = [b'0'; 20];
    let mut rest = value;
    let mut at = buffer.len();
    while rest > 0 || buffer.len() - at < width {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&buffer[at..]);
}

#[inline]
fn two(out: &mut Vec<u8>, value: u64) {
    if value < 100 {
        out.extend_from_slice(&[b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]);
    } else {
        digits(out, value, 2);
    }
}

#[inline]
fn four(out: &mut Vec<u8>, value: u64) {
    if value < 10_000 {
        two(out, value / 100);
        two(out, value % 100);
    } else {
        digits(out, value, 4);
    }
}

fn fraction(out: &mut Vec<u8>, value: u64, fsp: u8) {
    // Two decimal digits a byte: an odd fsp is stored with a trailing zero.
    if fsp > 0 {
        let start = out.len();
        out.push(b'.');
        digits(out, value, fraction_bytes(fsp) * 2);
        out.truncate(start + 1 + usize::from(fsp));
    }
}

#[inline]
fn date_parts(out: &mut Vec<u8>, year: u64, month: u64, day: u64) {
    four(out, year);
    out.push(b'-');
    two(out, month);
    out.push(b'-');
    two(out, day);
}

#[inline]
fn clock_parts(out: &mut Vec<u8>, hour: u64, minute: u64, second: u64) {
    two(out, hour);
    out.push(b':');
    two(out, minute);
    out.push(b':');
    two(out, second);
}

/// DATE: 15 bits year, 4 month, 5 day.
pub fn date(out: &mut Vec<u8>, value: u64) {
    date_parts(out, value >> 9, value >> 5 & 15, value & 31);
}

/// DATETIME2: 5 bytes, big-endian, and the fraction.
pub fn datetime(out: &mut Vec<u8>, whole: u64, part: u64, fsp: u8) -> Result<()> {
    packed_clock(out, whole as i64 - DATETIME_OFFSET, b'T')?;
    fraction(out, part, fsp);
    Ok(())
}

fn packed_clock(out: &mut Vec<u8>, value: i64, between: u8) -> Result<()> {
    let Ok(value) = u64::try_from(value) else { return Fault::undecodable("a date and time is negative") };
    let months = value >> 22;
    date_parts(out, months / 13, months % 13, value >> 17 & 31);
    out.push(between);
    clock_parts(out, value >> 12 & 31, value >> 6 & 63, value & 63);
    Ok(())
}

/// TIMESTAMP2: seconds since 1970 and the fraction; UTC. Zero is MySQL's zero, not 1970.
pub fn timestamp(out: &mut Vec<u8>, seconds: u64, part: u64, fsp: u8) {
    if seconds == 0 && part == 0 {
        out.extend_from_slice(b"0000-00-00T00:00:00");
    } else {
        let (year, month, day) = civil(seconds / 86_400);
        date_parts(out, year, month, day);
        out.push(b'T');
        let second = seconds % 86_400;
        clock_parts(out, second / 3600, second / 60 % 60, second % 60);
    }
    fraction(out, part, fsp);
    out.push(b'Z');
}

/// Days since 1970 to year, month, day (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + u64::from(month <= 2), month, of_year - (153 * shifted + 2) / 5 + 1)
}

/// TIME2: 3 bytes and the fraction as one number around an offset, so a negative one needs no care.
pub fn time(out: &mut Vec<u8>, raw: u64, fsp: u8) {
    let bits = 8 * fraction_bytes(fsp);
    let value = raw as i64 - (TIME_OFFSET << bits);
    if value < 0 {
        out.push(b'-');
    }
    let value = value.unsigned_abs();
    let clock = value >> bits;
    clock_parts(out, clock >> 12 & 1023, clock >> 6 & 63, clock & 63);
    fraction(out, value & ((1 << bits) - 1), fsp);
}

/// DATETIME of tables made before 5.6: the number YYYYMMDDhhmmss.
pub fn old_datetime(out: &mut Vec<u8>, value: u64) -> Result<()> {
    if value >= 100_000_000_000_000 {
        return Fault::undecodable("an old DATETIME has too many digits");
    }
    let (date, clock) = (value / 1_000_000, value % 1_000_000);
    date_parts(out, date / 10_000, date / 100 % 100, date % 100);
    out.push(b'T');
    clock_parts(out, clock / 10_000, clock / 100 % 100, clock % 100);
    Ok(())
}

/// TIME of tables made before 5.6: the number hhmmss, signed, in three bytes.
pub fn old_time(out: &mut Vec<u8>, raw: u64) {
    let value = ((raw << 40) as i64) >> 40;
    if value < 0 {
        out.push(b'-');
    }
    let value = value.unsigned_abs();
    clock_parts(out, value / 10_000, value / 100 % 100, value % 100);
}

/// DATE inside JSON: a packed datetime.
pub fn json_date(out: &mut Vec<u8>, packed: i64) -> Result<()> {
    let start = out.len();
    packed_clock(out, packed >> 24, b'T')?;
    out.truncate(start + 10);
    Ok(())
}

/// DATETIME and TIMESTAMP inside JSON, as MySQL prints them: a space, and always six digits.
pub fn json_datetime(out: &mut Vec<u8>, packed: i64) -> Result<()> {
    packed_clock(out, packed >> 24, b' ')?;
    out.push(b'.');
    digits(out, (packed & 0xff_ffff) as u64, 6);
    Ok(())
}

/// TIME inside JSON: always six digits.
pub fn json_time(out: &mut Vec<u8>, packed: i64) {
    if packed < 0 {
        out.push(b'-');
    }
    let packed = packed.unsigned_abs();
    let clock = packed >> 24;
    clock_parts(out, clock >> 12 & 1023, clock >> 6 & 63, clock & 63);
    out.push(b'.');
    digits(out, packed & 0xff_ffff, 6);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn zero_and_partial_dates_stay() {
        assert_eq!(written(|out| date(out, 0)), "0000-00-00");
        assert_eq!(written(|out| date(out, 2024 << 9 | 15)), "2024-00-15");
        assert_eq!(written(|out| timestamp(out, 0, 0, 0)), "0000-00-00T00:00:00Z");
    }

    #[test]
    fn timestamps_are_utc() {
        assert_eq!(written(|out| timestamp(out, 1, 0, 0)), "1970-01-01T00:00:01Z");
        assert_eq!(written(|out| timestamp(out, 951_782_400, 1230, 3)), "2000-02-29T00:00:00.123Z");
        assert_eq!(written(|out| timestamp(out, u64::from(u32::MAX), 0, 0)), "2106-02-07T06:28:15Z");
    }

    #[test]
    fn times_are_signed_and_longer_than_a_day() {
        let packed = |hour: i64, minute: i64, second: i64, micro: i64| {
            ((TIME_OFFSET << 24) - ((hour << 12 | minute << 6 | second) << 24 | micro)) as u64
        };
        assert_eq!(written(|out| time(out, packed(838, 59, 58, 999_999), 6)), "-838:59:58.999999");
        assert_eq!(written(|out| time(out, TIME_OFFSET as u64, 0)), "00:00:00");
        assert_eq!(written(|out| old_time(out, 0xff_ffff)), "-00:00:01");
    }
}
