"""Files that are either the old one or the new one, whenever we are killed."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Any


def write(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Replace the file in one step; nobody but the owner ever sees it unless `mode` says so."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(file.fileno(), mode)
    draft.replace(path)


def draft(folder: Path) -> Path:
    """An empty folder to be renamed to this one when it is whole; what earlier drafts left is removed.

    Each has a name of its own: the program that filled the last one may live on for a moment after we were killed.
    """
    for left in folder.parent.glob(f"{folder.name}.part*"):
        shutil.rmtree(left, ignore_errors=True)
    found = folder.with_name(f"{folder.name}.part.{secrets.token_hex(4)}")
    found.mkdir(mode=0o700)
    return found


def read_json(path: Path) -> dict[str, Any]:
    """The object in the file; empty if there is none."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return found
