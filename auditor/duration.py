"""`--every 1h`: a length of time as people write it."""

from __future__ import annotations

import re

from schemas.errors import UsageError

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> float:
    """Seconds of `30s`, `15m`, `1h`, `1d`. Raises `UsageError`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if not found or not float(found[1]):
        raise UsageError(f"`{text}` is no length of time", hint="Write 30s, 15m, 1h or 1d.")
    return float(found[1]) * _UNITS_S[found[2]]
