"""Interrupted audits go on from what they had read, and say nothing but what a fresh one would."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from structlog.testing import capture_logs

from audit_cli import Cli
from auditing import World, found, ids
from auditor import audit as audits
from auditor import expected, kept, shelf
from auditor.audit import audit, find_subjects
from auditor.run_context import Context, StoppedError
from auditor.store import Store
from auditor.topic import Topic
from auditor.window import windows
from runner import until
from schemas.report import AuditReport, AuditStatus, TableReport

pytestmark = pytest.mark.stack

MakeWorld = Callable[..., World]


def interrupt(world: World, monkeypatch: pytest.MonkeyPatch, *, after: int = 2, **options: Any) -> None:
    """An audit that is stopped after so many batches of keys are on disk."""
    context = Context(settings=world.settings, **options)
    flush, flushed = expected.Expected._flush, 0

    def counted(self: expected.Expected) -> None:
        nonlocal flushed
        flush(self)
        flushed += 1
        if flushed > after:  # the first one is of nothing: it asks how far an earlier audit was
            context.stop.request("test")

    with monkeypatch.context() as patch:
        patch.setattr(expected, "_AT_ONCE_BYTES", 1)
        patch.setattr(kept, "_EVERY_S", 0)
        patch.setattr("auditor.topic._BATCH", 9)
        patch.setattr(expected.Expected, "_flush", counted)
        with pytest.raises(StoppedError):
            audit(context)


def again(world: World, **options: Any) -> tuple[AuditReport, list[str]]:
    """The next audit, and how it began."""
    with capture_logs() as said:
        report = audit(Context(settings=world.settings, **options))
    assert not list(shelf.folder(world.name).glob("open/*")), report.reason
    return report, [line["action"] for line in said if line["action"] in ("audit_resumed", "audit_anew")]


@pytest.mark.parametrize("seed", range(4))
def test_it_finds_what_a_fresh_audit_finds(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    chance = random.Random(seed)
    world = make_world(partitions=2)
    keys = ids(300)
    if seed % 2:
        world.put(*ids(6, 900))
        world.barrier()  # so early that it was read before the interruption
    world.put(*keys)
    world.drop(*chance.sample(keys[:200], 20))
    world.sync()
    interrupt(world, monkeypatch, after=1 + seed)
    world.put(*chance.sample(keys, 30), text="newer")
    world.drop(*chance.sample(keys, 30))
    if seed > 1:
        world.barrier(below=world.rows[50].seq)
    world.put(*ids(20, 500))
    lost = set(chance.sample(range(len(world.rows)), 20))
    world.sync(skip=lambda row: row.op != "t" and world.rows.index(row) in lost)
    world.es.indices.refresh(index=world.index)
    there = [hit["_id"] for hit in world.es.search(index=world.index, size=1000, source=False)["hits"]["hits"]]
    world.remove(*chance.sample(there, 5))
    report, how = again(world)
    assert how == ["audit_resumed"]
    fresh = world.audit()
    assert found(report) == found(fresh)
    assert found(report)
    assert report.tables[0].keys == fresh.tables[0].keys
    assert report.tables[0].windows == fresh.tables[0].windows
    assert report.tables[0].cost.events < fresh.tables[0].cost.events


def test_it_is_interrupted_again_and_again(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world()
    for number in range(4):
        world.put(*ids(50, 50 * number))
        world.sync()
        interrupt(world, monkeypatch, after=1)
    world.remove("7", "199")
    report, how = again(world)
    assert (how, found(report)) == (["audit_resumed"], {"missing": ["199", "7"]})
    assert again(world)[1] == []  # nothing is left of it


def test_one_beside_another_puts_nothing_aside(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world()
    world.put(*ids(60))
    world.sync()
    interrupt(world, monkeypatch, resumable=False)
    assert not list(shelf.folder(world.name).glob("open/*"))
    assert again(world)[1] == []


def cut(world: World) -> None:
    """The log begins later now, and what is left of it is all that is judged."""
    place = TopicPartition(world.topic, 0, 10)
    for future in world._admin.delete_records([place]).values():
        future.result(60)


def recreated(world: World) -> None:
    for future in world._admin.delete_topics([world.topic]).values():
        future.result(60)
    until(lambda: world.topic not in world._admin.list_topics(timeout=10).topics, "the topic's end")
    world._make_topic(world.topic, world.partitions, {"cleanup.policy": "compact"})


def damaged(world: World) -> None:
    for place in (shelf.folder(world.name) / "open").glob("*/000001-*.parquet"):
        place.write_bytes(b"no parquet" * 1000)


def torn(world: World) -> None:
    for place in (shelf.folder(world.name) / "open").glob("*/*0.json"):
        place.unlink()


def mingled(world: World) -> None:
    """As two audits at once would leave it."""
    for place in (shelf.folder(world.name) / "open").glob("*/000001.json"):
        place.write_text(json.dumps({**json.loads(place.read_bytes()), "after": "000000-of-another"}))


def with_a_gap(world: World) -> None:
    for place in (shelf.folder(world.name) / "open").glob("*/000001.json"):
        about = json.loads(place.read_bytes())
        place.write_text(json.dumps({**about, "rows": [about["rows"][0] + 5, about["rows"][1] + 5]}))


@pytest.mark.parametrize("harm", [cut, recreated, damaged, torn, mingled, with_a_gap, "partitions", "old", "shorter"])
def test_what_cannot_be_gone_on_from_is_begun_anew(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, harm: Any
) -> None:
    world = make_world(partitions=2, topic_config={"cleanup.policy": "compact,delete"})
    world.put(*ids(60))
    world.sync()
    interrupt(world, monkeypatch)
    options = {}
    if harm == "partitions":
        options["partitions"] = frozenset({0})
    elif harm == "old":
        monkeypatch.setattr(kept, "_LONGEST_S", 0)
        monkeypatch.setattr(kept, "_tidy", lambda _folder: None)
    elif harm == "shorter":  # as after an unclean election of a leader
        monkeypatch.setattr("auditor.window.Windows.highs", {0: 1, 1: 1})
        keys = kept.Kept(Context(settings=world.settings), world.topic, world.topic_id, *_subject(world))
        with capture_logs() as said, Store(1 << 28) as store:
            assert expected.Expected(store, [0, 1], keys).last_read() == {}
        assert [line["reason"] for line in said] == ["the log ends before what was read of it"]
        return
    else:
        harm(world)
    report, how = again(world, **options)
    assert how == ["audit_anew"]
    if harm in ("partitions", damaged, torn, mingled, with_a_gap):
        assert report.status is AuditStatus.CLEAN


def _subject(world: World) -> tuple[Any, Any]:
    context = Context(settings=world.settings)
    [subject] = find_subjects(context)
    with Topic(context, world.topic, subject.shape) as topic:
        return subject.shape, windows(topic)


@pytest.mark.parametrize("change", ["nothing", "a record", "a document"])
def test_a_table_that_was_done_is_taken_up_only_as_it_was(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    done, world = make_world(table="a"), make_world(table="b")
    for one in (done, world):
        one.put(*ids(60))
        one.sync()
    with monkeypatch.context() as patch:
        patch.setattr("auditor.audit._one", stopping_before("shop.b"))
        with pytest.raises(StoppedError):
            audit(Context(settings=world.settings))
    if change == "a record":
        done.put("60")
        done.sync()
    elif change == "a document":
        done.remove("7")
    with capture_logs() as said:
        report = audit(Context(settings=world.settings))
    assert [line["table"] for line in said if line["action"] == "audit_kept"] == (["shop.a"] * (change == "nothing"))
    assert found(report) == ({"missing": ["7"]} if change == "a document" else {})
    assert report.tables[0].keys == (61 if change == "a record" else 60)
    with capture_logs() as said:
        assert audit(Context(settings=world.settings)).status is report.status
    assert not [line for line in said if line["action"] == "audit_kept"]


def stopping_before(table: str) -> Callable[..., TableReport]:
    one = audits._one

    def audited(context: Context, client: Any, subject: Any) -> TableReport:
        if subject.table == table:
            context.stop.request("test")
        return one(context, client, subject)

    return audited


SMALL = """
from auditor import expected, kept
from tidemark.cli import main
expected._AT_ONCE_BYTES, kept._EVERY_S = 1, 0
main()
"""


def start(cli: Cli, tmp_path: Path, **environ: str) -> subprocess.Popen[bytes]:
    """`tidemark audit run`, with keys on disk early."""
    with (tmp_path / "err").open("ab") as err:
        return subprocess.Popen(
            [sys.executable, "-c", SMALL, "audit", "run", "--html", str(tmp_path / "r.html"), "-c", str(cli.config)],
            env={**os.environ, **environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.DEVNULL,
            stderr=err,
        )


def test_killed_and_asked_to_stop(make_world: MakeWorld, tmp_path: Path) -> None:
    world = make_world(audit={"metrics_file": str(tmp_path / "t.prom"), "wait_s": 60})
    world.put(*ids(500))
    world.sync()
    cli = Cli(world, tmp_path)
    assert cli("run", "--html", str(tmp_path / "r.html"))[0] == 0
    assert "tidemark_audit_clean{" in (tmp_path / "t.prom").read_text()
    world.put(*ids(500, 500))  # the sink does not follow: the audit waits for it
    world.remove("7")

    killed = start(cli, tmp_path, TIDEMARK_CRASH="keys_kept:kill9@2")
    assert killed.wait(60) == -signal.SIGKILL
    stopped = start(cli, tmp_path)
    until(lambda: b"audit_resumed" in (tmp_path / "err").read_bytes(), "the audit that goes on")
    stopped.send_signal(signal.SIGTERM)
    assert stopped.wait(30) == 130, (tmp_path / "err").read_text()
    assert 'tidemark_audit_clean{against="topic",source="' in (tmp_path / "t.prom").read_text()
    [value] = [
        line for line in (tmp_path / "t.prom").read_text().splitlines() if line.startswith("tidemark_audit_clean")
    ]
    assert value.endswith(" 0.0")
    assert "the audit was asked to stop" in (tmp_path / "r.html").read_text()

    world.sync()
    assert cli("run", "--json")[0] == 4
    report = AuditReport.model_validate_json(cli("report", "--json")[1])
    assert (found(report), report.tables[0].keys) == ({"missing": ["7"]}, 1000)
    assert report.tables[0].cost.events < 1000
