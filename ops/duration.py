"""Times and lengths of time as people write them: `1h`, `2026-11-21T19:00Z`."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from schemas.errors import UsageError

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


def seconds(text: str) -> float:
    """Seconds of `30s`, `15m`, `1h`, `1d`. Raises `UsageError`."""
    found = _LENGTH.fullmatch(text.strip())
    if not found or not float(found[1]):
        raise UsageError(f"`{text}` is no length of time", hint="Write 30s, 15m, 1h or 1d.")
    return float(found[1]) * _UNITS_S[found[2]]


def moment_ms(text: str) -> int:
    """Milliseconds since 1970 of an ISO 8601 time (UTC unless it has an offset), or of `1h`: so long ago.

    Raises `UsageError`.
    """
    if _LENGTH.fullmatch(text.strip()):
        return int((time.time() - seconds(text)) * 1000)
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(f"`{text}` is no time", hint="Write 2026-11-21T19:00:00Z, or 2h for two hours ago.") from None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


def iso(ts_ms: int) -> str:
    """`2026-11-21T19:00:00.123Z`."""
    text = datetime.fromtimestamp(ts_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
