"""Keys that were read are put aside every few seconds, until their table is done: an interrupted audit goes on there.

What was read of a log stays true of it: what came later is read on top. So the reading is all that is kept, and the
index is asked anew. Whatever could make it untrue starts the table anew: another topic, a log that begins elsewhere or
ends earlier, other rules of what a document is, deletes that compaction may have removed since.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb
from confluent_kafka.admin._config import ConfigResource

from auditor import shelf
from auditor.op import Barrier
from auditor.run_context import Context, StoppedError
from auditor.store import Store
from auditor.window import Windows
from ops import crashpoint
from ops.kafka import admin, answer
from ops.log import logger
from schemas.errors import InconclusiveError, RefusedError, UsageError
from schemas.event import VERSION
from schemas.shape import Shape

_log = logger(__name__)
_FORMAT = 2
_EVERY_S = 5  # what takes less to read is read again
_LONGEST_S = 86_400
_TIMEOUT_S = 15
_ROWS_AT_ONCE = 8192  # keys may be of 3 KB


class Kept:
    """The table `ops` of one topic's store. `shape`: of its documents; `windows`: what is audited now."""

    def __init__(self, context: Context, topic: str, topic_id: str, shape: Shape, windows: Windows) -> None:
        self._context = context
        self._topic = topic
        self._ends = windows.highs
        self._transformed = bool(shape.rules.transform)
        self._facts: dict[str, Any] = {
            "format": _FORMAT,
            "version": VERSION,
            "topic_id": topic_id,
            "partitions": windows.count,
            "lows": sorted([part.partition, part.low] for part in windows.parts),
            "rules": json.dumps(asdict(shape.rules), default=sorted, sort_keys=True),  # sets have no order
        }
        self._began_s = time.time()
        self._parts = 0
        self._rows = 0
        self._last = ""  # the name of the last part
        self._due_s = time.monotonic() + _EVERY_S
        place = hashlib.sha256(topic.encode()).hexdigest()[:16]
        self._folder = shelf.folder(context.settings.source.name) / "open" / place

    @contextmanager
    def until_done(self) -> Iterator[None]:
        """When the table is done, well or not, nothing is kept of it; if it is interrupted, all is."""
        try:
            yield
        except (StoppedError, KeyboardInterrupt):
            raise
        except BaseException:
            self._forget()
            raise
        self._forget()

    def load(self, store: Store) -> list[Barrier]:
        """Fill the table with what an interrupted audit had read; the barriers that it had read."""
        _tidy(self._folder.parent)
        if not self._folder.exists():
            return []
        try:
            about, barriers = self._parts_of(store)
            reason = self._objection(store, about, barriers)
        except (OSError, ValueError, KeyError, TypeError, InconclusiveError, duckdb.Error) as error:
            reason = f"it is damaged: {str(error).partition(chr(10))[0]}"
        if reason:
            _log.info("a table's audit was interrupted", action="audit_anew", topic=self._topic, reason=reason)
            store.run("CREATE OR REPLACE TABLE ops AS SELECT * FROM ops WHERE false")
            self._forget()
            self._parts, self._rows, self._last = 0, 0, ""
            return []
        self._began_s = about["began_s"]
        _log.info("a table's audit was interrupted", action="audit_resumed", topic=self._topic, events=self._rows)
        return barriers

    def _parts_of(self, store: Store) -> tuple[dict[str, Any], list[Barrier]]:
        """A part is there once its `.json` is: that is written last, whole or not at all.

        It names its rows and the part before, so that parts of two audits are not taken for one's.
        """
        about: dict[str, Any] = {}
        barriers: list[Barrier] = []
        for place in sorted(self._folder.glob("*.json")):
            about = json.loads(place.read_bytes())
            if (about["part"], about["after"], about["rows"][0]) != (self._parts, self._last, self._rows):
                raise ValueError(f"part {self._parts} is missing, or of another audit")
            file = str(self._folder / f"{about['name']}.parquet")
            store.run("INSERT INTO ops SELECT * FROM read_parquet($1)", [file])
            [(rows,)] = store.run("SELECT count(*) FROM ops")
            if rows != about["rows"][1]:
                raise ValueError(f"part {self._parts} has not the rows that were put into it")
            barriers = [Barrier(*barrier) for barrier in about["barriers"]]
            self._rows, self._parts, self._last = rows, self._parts + 1, about["name"]
        return about, barriers

    def _objection(self, store: Store, about: dict[str, Any], barriers: Sequence[Barrier]) -> str:
        """Why it cannot be gone on from; empty if it can."""
        if self._transformed:
            return "the code of its transform may have changed"
        if about.get("facts") != self._facts:
            return "it was about another topic, other partitions, another beginning of the log or other documents"
        if not 0 <= time.time() - about["began_s"] < self._longest_s():
            return "it is so old that deletes may be gone which it never read"
        last = store.run('SELECT partition, max("offset") FROM ops GROUP BY partition')
        last += [(barrier.partition, barrier.offset) for barrier in barriers]
        if any(offset >= self._ends.get(partition, 0) for partition, offset in last):
            return "the log ends before what was read of it"
        return ""

    def _longest_s(self) -> float:
        """Compaction removes deletes after `delete.retention.ms`; they have to be read before, with time to spare."""
        kafka = self._context.settings.kafka
        resource = ConfigResource(ConfigResource.Type.TOPIC, self._topic)
        client = admin(kafka, self._context.client_id)
        asked = client.describe_configs([resource], request_timeout=_TIMEOUT_S)[resource]
        try:
            found = answer(asked, _TIMEOUT_S, kafka.bootstrap_servers)
        except RefusedError:
            return 0  # who may not know how long may not rely on it
        return min(_LONGEST_S, int(found["delete.retention.ms"].value) / 1000 / 2)

    def keep(self, store: Store, barriers: Sequence[Barrier]) -> None:
        """Called whenever rows were added to the table: puts them aside if it is time to. `barriers`: all of them."""
        if time.monotonic() < self._due_s:
            return
        try:
            self._put_aside(store, barriers)
            self._due_s = time.monotonic() + _EVERY_S
        except (OSError, InconclusiveError, UsageError, duckdb.Error) as error:
            # There is no room, mostly. The audit itself needs none of it.
            _log.warning("keys cannot be put aside: if this audit is interrupted, the next one begins anew",
                         action="audit_not_kept", topic=self._topic, reason=str(error))  # fmt: skip
            self._forget()
            self._due_s = float("inf")

    def _put_aside(self, store: Store, barriers: Sequence[Barrier]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        [(rows,)] = store.run("SELECT count(*) FROM ops")
        name = f"{self._parts:06}-{secrets.token_hex(8)}"
        place = self._folder / f"{name}.parquet"
        store.run(
            f"COPY (SELECT * FROM ops WHERE rowid >= {self._rows}) TO '{_quoted(str(place))}' "  # noqa: S608  ours
            f"(FORMAT parquet, COMPRESSION lz4, ROW_GROUP_SIZE {_ROWS_AT_ONCE})"
        )
        about = {"part": self._parts, "name": name, "after": self._last, "rows": [self._rows, rows],
                 "facts": self._facts, "began_s": self._began_s, "barriers": barriers}  # fmt: skip
        shelf.write(self._folder / f"{self._parts:06}.json", json.dumps(about).encode())
        self._rows, self._parts, self._last = rows, self._parts + 1, name
        crashpoint.reached("keys_kept")

    def _forget(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def _tidy(folder: Path) -> None:
    """Nobody goes on from what is so old."""
    for place in folder.glob("*/"):
        if time.time() - place.stat().st_mtime > 2 * _LONGEST_S:
            shutil.rmtree(place, ignore_errors=True)


def _quoted(path: str) -> str:
    return path.replace("'", "''")
