"""What the reference says of `--json`."""

from __future__ import annotations

import re
from pathlib import Path

REFERENCE = Path(__file__).parents[1] / "docs/reference/json.md"


def documented() -> set[str]:
    """Every `schema` that it names."""
    return set(re.findall(r"`(tidemark\.[a-z.]+/1)`", REFERENCE.read_text(encoding="utf-8")))
