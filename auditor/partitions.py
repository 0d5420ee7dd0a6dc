"""`--partitions 0-2,5`: which partitions of every topic are audited."""

from __future__ import annotations

import re

from schemas.errors import UsageError

_LARGEST = 1_000_000  # more partitions than a topic can have


def partitions(text: str) -> frozenset[int]:
    """The numbers. Raises `UsageError`."""
    found: set[int] = set()
    for piece in text.split(","):
        ends = re.fullmatch(r"\s*(\d{1,7})(?:\s*-\s*(\d{1,7}))?\s*", piece, re.ASCII)
        low, high = (int(ends[1]), int(ends[2] or ends[1])) if ends else (1, 0)
        if not low <= high < _LARGEST:
            raise UsageError(f"`{text}` names no partitions", hint="Write 3, 0-2 or 0-2,5.")
        found.update(range(low, high + 1))
    return frozenset(found)
