"""Dates and times from the binlog, as text; zero and partial dates stay what they are. Bytes in, text out.

Layouts: `my_datetime_packed_from_binary` and its kin in MySQL's `sql-common/my_time.cc`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATETIME_OFFSET = 0x8000000000
_TIME_OFFSET = 0x800000


def fraction_bytes(fsp: int) -> int:
    """Bytes that hold `fsp` digits of a second."""
    return (fsp + 1) // 2


def _fraction(value: int, fsp: int) -> str:
    # Two decimal digits a byte: an odd fsp is stored with a trailing zero.
    return f".{value:0{fraction_bytes(fsp) * 2}d}"[: fsp + 1] if fsp else ""


def date_text(raw: bytes) -> str:
    """DATE: 3 bytes, little-endian: 15 bits year, 4 month, 5 day."""
    value = int.from_bytes(raw, "little")
    return f"{value >> 9:04d}-{value >> 5 & 15:02d}-{value & 31:02d}"


def datetime_text(raw: bytes, fsp: int) -> str:
    """DATETIME2: 5 bytes, big-endian, and the fraction."""
    value = int.from_bytes(raw[:5], "big") - _DATETIME_OFFSET
    return _clock_text(value) + _fraction(int.from_bytes(raw[5:], "big"), fsp)


def _clock_text(value: int) -> str:
    months = value >> 22
    return (
        f"{months // 13:04d}-{months % 13:02d}-{value >> 17 & 31:02d}"
        f"T{value >> 12 & 31:02d}:{value >> 6 & 63:02d}:{value & 63:02d}"
    )


def timestamp_text(raw: bytes, fsp: int) -> str:
    """TIMESTAMP2: seconds since 1970, big-endian, and the fraction; UTC. Zero is MySQL's zero, not 1970."""
    seconds = int.from_bytes(raw[:4], "big")
    fraction = _fraction(int.from_bytes(raw[4:], "big"), fsp)
    if not any(raw):
        return f"0000-00-00T00:00:00{fraction}Z"
    return f"{(_EPOCH + timedelta(seconds=seconds)).strftime('%Y-%m-%dT%H:%M:%S')}{fraction}Z"


def time_text(raw: bytes, fsp: int) -> str:
    """TIME2: 3 bytes and the fraction as one big-endian number around an offset, so a negative one needs no care."""
    bits = 8 * fraction_bytes(fsp)
    value = int.from_bytes(raw, "big") - (_TIME_OFFSET << bits)
    sign, value = ("-", -value) if value < 0 else ("", value)
    clock = value >> bits
    text = f"{sign}{clock >> 12 & 1023:02d}:{clock >> 6 & 63:02d}:{clock & 63:02d}"
    return text + _fraction(value & ((1 << bits) - 1), fsp)


def year(raw: int) -> int:
    """YEAR: years since 1900, and 0 for 0000."""
    return 1900 + raw if raw else 0


def old_timestamp_text(raw: bytes) -> str:
    """TIMESTAMP of tables made before 5.6: 4 bytes, little-endian."""
    return timestamp_text(raw[::-1], 0)


def old_datetime_text(raw: bytes) -> str:
    """DATETIME of tables made before 5.6: the number YYYYMMDDhhmmss."""
    digits = f"{int.from_bytes(raw, 'little'):014d}"
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}T{digits[8:10]}:{digits[10:12]}:{digits[12:]}"


def old_time_text(raw: bytes) -> str:
    """TIME of tables made before 5.6: the number hhmmss, signed."""
    value = int.from_bytes(raw, "little", signed=True)
    sign, value = ("-", -value) if value < 0 else ("", value)
    return f"{sign}{value // 10000:02d}:{value // 100 % 100:02d}:{value % 100:02d}"


def json_date_text(packed: int) -> str:
    """DATE inside JSON: a packed datetime (`TIME_from_longlong_date_packed`)."""
    return _clock_text(packed >> 24)[:10]


def json_datetime_text(packed: int) -> str:
    """DATETIME and TIMESTAMP inside JSON, as MySQL prints them: a space, and always six digits."""
    return f"{_clock_text(packed >> 24).replace('T', ' ')}.{packed & 0xFFFFFF:06d}"


def json_time_text(packed: int) -> str:
    """TIME inside JSON: always six digits."""
    sign, packed = ("-", -packed) if packed < 0 else ("", packed)
    clock = packed >> 24
    return f"{sign}{clock >> 12 & 1023:02d}:{clock >> 6 & 63:02d}:{clock & 63:02d}.{packed & 0xFFFFFF:06d}"
