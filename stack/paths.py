"""Where downloads and the servers' data live."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """Downloads, shared by all checkouts: `$XDG_CACHE_HOME/tidemark`."""
    return _base("XDG_CACHE_HOME", ".cache") / "tidemark"


def state_dir() -> Path:
    """The default stack's data, logs and records: `$XDG_STATE_HOME/tidemark/stack`."""
    return _base("XDG_STATE_HOME", ".local/state") / "tidemark" / "stack"


def _base(variable: str, default: str) -> Path:
    named = os.environ.get(variable, "")
    # The XDG specification says that a relative path is to be ignored.
    return Path(named) if Path(named).is_absolute() else Path.home() / default
