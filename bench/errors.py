"""A benchmark that did not measure what it should."""

from __future__ import annotations

from schemas.errors import TidemarkError


class BenchError(TidemarkError):
    """With this, the figures would be worth nothing."""
