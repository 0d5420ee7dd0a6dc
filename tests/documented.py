"""What the docs say of `--json`, and of metrics."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
REFERENCE = DOCS / "reference/json.md"


def documented() -> set[str]:
    """Every `schema` that it names."""
    return set(re.findall(r"`(tidemark\.[a-z.]+/1)`", REFERENCE.read_text(encoding="utf-8")))


def audit_metrics() -> set[str]:
    """Every metric of an audit that the guide names."""
    return set(re.findall(r"`(tidemark_audit_\w+)`", (DOCS / "how-to/audit-as-a-job.md").read_text(encoding="utf-8")))
