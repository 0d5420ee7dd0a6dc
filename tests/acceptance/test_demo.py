"""`tidemark demo`: the story ends well, says so in one line, and leaves nothing running."""

from __future__ import annotations

import json

import psutil
import pytest

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


def test_demo(tidemark, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    try:
        done = tidemark("demo", "--json", timeout_s=800)
    finally:
        left = [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or ())]
        for process in left:  # it would take the time of all that follow
            process.kill()
    assert done.code == 0, done.err
    assert done.out.count("\n") == 1
    said = json.loads(done.out)
    assert list(said) == [
        "schema", "rows", "documents", "lag_ms_p50", "lag_ms_p99", "removed", "staled", "missing", "stale", "repaired",
        "clean_after_repair",
    ]  # fmt: skip
    assert said["schema"] == "tidemark.demo/1"
    assert said["removed"] == said["missing"] == sorted(said["removed"])
    assert said["staled"] == said["stale"] == sorted(said["staled"])
    assert said["removed"]
    assert said["staled"]
    assert said["repaired"] == len(said["removed"]) + len(said["staled"])
    assert said["clean_after_repair"] is True
    assert said["rows"] > 2000
    assert 0 < said["lag_ms_p50"] <= said["lag_ms_p99"]
    assert not left
    assert not list(tmp_path.iterdir())
