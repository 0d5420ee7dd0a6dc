"""What killed audits leave on the disk is removed by the next one; what others use is not."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from auditor import spill
from auditor.store import Store

AUDIT = (
    "import time; from auditor.store import Store; store = Store(64 << 20); print('there', flush=True); time.sleep(60)"
)


def test_a_killed_audits_folder_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(spill, "_YOUNG_S", 0)
    mine = tmp_path / "tidemark-audit.toml"
    mine.touch()
    with subprocess.Popen(
        [sys.executable, "-c", AUDIT], stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": str(tmp_path)}
    ) as audit:
        assert audit.stdout
        assert audit.stdout.readline() == b"there\n"
        [left] = tmp_path.glob("tidemark-audit-*")
        Store(64 << 20).close()
        assert left.exists()  # it lives
        audit.kill()
    assert left.exists()
    with Store(64 << 20):
        assert not left.exists()
        assert len(list(tmp_path.glob("tidemark-audit-*"))) == 1
    assert list(tmp_path.iterdir()) == [mine]


def test_one_that_has_just_been_made_is_left(tmp_path: Path) -> None:
    place = tmp_path / "tidemark-audit-x"
    place.mkdir()
    spill.tidy(tmp_path)
    assert place.exists()
    os.utime(place, (0, 0))
    spill.tidy(tmp_path)
    assert not place.exists()
