"""What killed audits leave on the disk is removed by the next one; what others use is not."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
import pytest

from auditor import spill
from auditor.store import Store
from schemas.errors import InconclusiveError

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


def test_no_room_is_said_as_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "TemporaryDirectory", full)
        with pytest.raises(InconclusiveError, match="No space left") as raised:
            Store(64 << 20)
    assert "TMPDIR" in raised.value.hint
    with monkeypatch.context() as patch:
        patch.setattr(duckdb, "connect", lambda *_, **__: (_ for _ in ()).throw(duckdb.IOException("no room")))
        with pytest.raises(InconclusiveError, match="no room"):
            Store(64 << 20)
    assert list(tmp_path.iterdir()) == []


def test_where_folders_cannot_be_locked_none_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unlockable(*_: object) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(spill, "_YOUNG_S", 0)
    monkeypatch.setattr(fcntl, "flock", unlockable)
    with Store(64 << 20), Store(64 << 20) as store:
        assert store.run("SELECT 1") == [(1,)]
        assert len(list(tmp_path.iterdir())) == 2
