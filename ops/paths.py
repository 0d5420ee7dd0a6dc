"""Where tidemark keeps what it has to remember: `$XDG_STATE_HOME/tidemark`."""

from __future__ import annotations

import os
from pathlib import Path


def state_home() -> Path:
    """`$XDG_STATE_HOME/tidemark`, by default below the home directory."""
    named = os.environ.get("XDG_STATE_HOME", "")
    # The XDG specification says that a relative path is to be ignored.
    base = Path(named) if Path(named).is_absolute() else Path.home() / ".local/state"
    return base / "tidemark"
