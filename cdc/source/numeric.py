"""Numbers from the binlog: integers, DECIMAL, FLOAT, BIT. Bytes in, values out."""

from __future__ import annotations

import math
import struct

_FLOAT, _DOUBLE = struct.Struct("<f"), struct.Struct("<d")
_SMALLEST_NORMAL = 1.1754943508222875e-38

# Bytes that hold 0..9 leftover decimal digits; nine digits take four bytes (decimal_bin_size in strings/decimal.cc).
_DIGIT_BYTES = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)
_GROUP = 9


def decimal_bytes(precision: int, scale: int) -> int:
    """How many bytes a DECIMAL(precision, scale) takes."""
    whole = precision - scale
    return whole // _GROUP * 4 + _DIGIT_BYTES[whole % _GROUP] + scale // _GROUP * 4 + _DIGIT_BYTES[scale % _GROUP]


def decimal_text(raw: bytes, precision: int, scale: int) -> str:
    """The digits of a binary DECIMAL, with exactly `scale` of them after the point."""
    negative = not raw[0] & 0x80
    flip = 0xFF if negative else 0
    plain = bytes((raw[0] ^ 0x80 ^ flip, *(byte ^ flip for byte in raw[1:])))
    whole = precision - scale
    at = 0
    digits = []
    for width in (whole % _GROUP, *[_GROUP] * (whole // _GROUP), *[_GROUP] * (scale // _GROUP), scale % _GROUP):
        size = _DIGIT_BYTES[width]
        if size:
            digits.append(f"{int.from_bytes(plain[at : at + size], 'big'):0{width}d}")
            at += size
    text = "".join(digits)
    left, right = text[:whole].lstrip("0") or "0", text[whole:]
    return f"{'-' if negative else ''}{left}{'.' if scale else ''}{right}"


def float32(raw: bytes) -> float | None:
    """The float64 with the shortest digits that read back as the same float32; None for NaN and infinities."""
    (value,) = _FLOAT.unpack(raw)
    if not math.isfinite(value):
        return None
    # Six digits survive the way through a normal float32; below that, fewer can be the shortest.
    for digits in range(6 if abs(value) >= _SMALLEST_NORMAL else 1, 10):
        short = float(f"{value:.{digits}g}")
        try:
            if _FLOAT.pack(short) == raw:
                return short
        except OverflowError:  # rounded up past the largest float32
            continue
    return float(value)


def float64(raw: bytes) -> float | None:
    """A DOUBLE; None for NaN and infinities, which MySQL does not store."""
    (value,) = _DOUBLE.unpack(raw)
    return value if math.isfinite(value) else None


def vector(raw: bytes) -> list[float | None]:
    """A VECTOR: float32 after float32."""
    return [float32(raw[at : at + 4]) for at in range(0, len(raw), 4)]
