"""Every `--json` result is one object, with a schema that the reference documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from documented import documented

pytestmark = pytest.mark.stack


def one_object(out: str) -> dict[str, object]:
    assert out.count("\n") == 1
    found = json.loads(out)
    assert found["schema"] in documented()
    return found


def test_every_command(tidemark, make_pipeline, mysql, database: str) -> None:
    pipeline = make_pipeline("json", cdc={"tables": [f"{database}.*"], "heartbeat_s": 1})
    with mysql.connect(database=database) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))")
        pipeline.start("cdc", "sink")
        cursor.executemany("INSERT INTO t VALUES (%s, 'x')", [(n,) for n in range(20)])
        pipeline.await_equal(database, ("t",))
        cursor.execute("SHOW BINARY LOG STATUS")
        file, pos = cursor.fetchone()[:2]
        cursor.execute("UPDATE t SET v='y' WHERE id=1")
    config = pipeline.config
    seen = set()
    for args in (
        ["doctor"], ["status"], ["config", "show"], ["cdc", "position", "show"], ["sink", "mapping", "plan"],
        ["sink", "deadletter", "list"], ["sink", "deadletter", "replay"],
        ["audit", "run"], ["audit", "report"],
        ["audit", "report", "--list"], ["audit", "repair"],
        ["sink", "rebuild", f"{database}.t"], ["sink", "prune", f"{database}.t"],
    ):  # fmt: skip
        done = tidemark(*args, "-c", config, "--json")
        assert done.code == 0, (args, done.out, done.err)
        assert args != ["audit", "run"] or "records are read" in done.err
        seen.add(one_object(done.out)["schema"])
    done = tidemark("cdc", "tail", "-c", config, "--json", "--limit", "1", "--position", f"file:{file}:{pos}")
    tail = one_object(done.out)
    assert tail["key"] == {"id": 1}
    assert tail["event"]["after"] == {"id": 1, "v": "y"}
    assert isinstance(tail["event"]["source"]["seq"], str)
    rest = {
        "tidemark.demo/1",
        "tidemark.stack/1",
        "tidemark.service/1",
        "tidemark.sink.deadletter.show/1",
        "tidemark.sink.rewind/1",
    }  # fmt: skip  seen elsewhere
    assert seen | {tail["schema"]} == documented() - rest
    assert "records are read" in pipeline.log("sink")


def test_careless_hands(tidemark, configure, tmp_path: Path) -> None:
    config = configure("careless", cdc={"tables": ["a.*"]})
    assert tidemark("audit", "report", "-c", config).code == 2
    assert tidemark("audit", "repair", "-c", config, "--apply").code == 2
    done = tidemark("audit", "run", "-c", config, "--json")
    assert done.code == 8
    assert one_object(done.out)["status"] == "inconclusive"
    (tmp_path / "not.json").write_text("{}")
    assert tidemark("audit", "repair", "-c", config, "--report", tmp_path / "not.json").code != 0
