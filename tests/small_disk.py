"""A file system of a few megabytes, which a test may fill. Needs to be root, and to be allowed to mount."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def mounted(folder: Path, size_bytes: int) -> Iterator[Path]:
    """The folder, with a file system of its own in it; the test is skipped where that cannot be."""
    folder.mkdir(parents=True, exist_ok=True)
    done = mount("-t", "tmpfs", "-o", f"size={size_bytes},mode=0777", "tmpfs", folder)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def mount(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["mount", *words], check=False, capture_output=True, text=True)


def fill(folder: Path, leave_bytes: int = 0) -> Path:
    """A file that takes all the room that is left, but for so much."""
    file = folder / "filler"
    with file.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while stream.write(bytes(1 << 16)):
            pass
    os.truncate(file, max(0, file.stat().st_size - leave_bytes))
    return file
