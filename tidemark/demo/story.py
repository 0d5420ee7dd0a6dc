"""The story, told in order: start, write, watch, harm, audit, repair, change again, audit clean."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql

from ops.config import load
from ops.elastic import client as elastic_client
from stack import Stack, StackStatus
from tidemark.demo import damage, probes
from tidemark.demo.index_side import Doc, IndexSide, wait_for
from tidemark.demo.services import DemoError, Service, call
from tidemark.demo.settings import SOURCE, write_config
from tidemark.demo.shop import DATABASE, TABLES, Shop

Say = Callable[[str], None]
_FOUND = (0, 4)


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What happened; the `--json` line is made of it."""

    rows: int = 0
    documents: int = 0
    lag: probes.Lag = field(default_factory=lambda: probes.Lag(p50_ms=0, p99_ms=0, probes=0))
    removed: list[str] = field(default_factory=list)
    staled: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    repaired: int = 0
    clean_after_repair: bool = False
    timings_s: dict[str, float] = field(default_factory=dict)

    @property
    def proven(self) -> bool:
        """True if the audit named exactly the harm that was done, and was clean after the repair."""
        exact = self.removed == self.missing and self.staled == self.stale and not self.others
        return exact and self.clean_after_repair

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": "tidemark.demo/1",
            "rows": self.rows,
            "documents": self.documents,
            "lag_ms_p50": self.lag.p50_ms,
            "lag_ms_p99": self.lag.p99_ms,
            "removed": self.removed,
            "staled": self.staled,
            "missing": self.missing,
            "stale": self.stale,
            "repaired": self.repaired,
            "clean_after_repair": self.clean_after_repair,
        }


class Story:
    """One run against one stack. `say` is told each step as it begins."""

    def __init__(self, folder: Path, say: Say) -> None:
        self._folder = folder
        self._say = say
        self.outcome = Outcome()
        self.status: StackStatus | None = None

    @contextmanager
    def _step(self, name: str, sentence: str) -> Iterator[None]:
        self._say(sentence)
        start = time.monotonic()
        yield
        self.outcome.timings_s[name] = round(time.monotonic() - start, 1)

    def run(self, stack: Stack, keeping: ExitStack, *, keep: bool) -> Outcome:
        """Tell it; what `keeping` holds at the end is the caller's to close. With `keep` the services run on."""
        with self._step("stack", "starting MySQL, Kafka and Elasticsearch"):
            keeping.callback(stack.down)
            self.status = stack.up()
        root = self._root(self.status)
        keeping.callback(root.close)
        shop = Shop(root)
        shop.create()
        config = write_config(self._folder, self.status)
        services = self._start_services(config, keeping)
        index = IndexSide(elastic_client(load(config).settings.elasticsearch), SOURCE)
        self._fill(shop, root, index, services)
        self._live(root, index, services)
        removed, staled = self._harm(root, index, services)
        self._audit(config, removed, staled)
        self._repair(config, root, index, services, [*removed, *staled])
        self.outcome.rows = shop.rows + self.outcome.rows
        self.outcome.documents = sum(index.counts(TABLES).values())
        if keep:
            self._say("kept running: " + ", ".join(f"{one.name} (process {one.process.pid})" for one in services))
        else:
            self._stop(services)
        return self.outcome

    def _root(self, status: StackStatus) -> Any:
        return pymysql.connect(
            host=status.mysql.host,
            port=status.mysql.port,
            user=status.mysql.user,
            password=status.mysql.password,
            autocommit=True,
            charset="utf8mb4",
        )

    def _start_services(self, config: Path, keeping: ExitStack) -> list[Service]:
        settings = load(config).settings.service
        with self._step("services", "starting `tidemark cdc run` and `tidemark sink run`"):
            services = []
            for name, listen in (("cdc", settings.cdc_listen), ("sink", settings.sink_listen)):
                services.append(Service.start(name, config, listen))
                keeping.callback(services[-1].stop)
            for service in services:
                service.await_ready()
        return services

    def _fill(self, shop: Shop, root: Any, index: IndexSide, services: list[Service]) -> None:
        with self._step("write", "writing some thousands of changes"):
            for doing in shop.fill():
                self._say(doing)
        with self._step("catch_up", "waiting until the index has caught up"):
            expected = self._counts(root)
            wait_for(f"index shows {expected}", lambda: index.counts(TABLES) == expected, alive=_alive(services))
        self._say(f"{shop.rows} row changes became {sum(expected.values())} documents")

    def _counts(self, root: Any) -> dict[str, int]:
        with root.cursor() as cursor:
            found = {}
            for table in TABLES:
                cursor.execute(f"SELECT COUNT(*) FROM {DATABASE}.{table}")  # noqa: S608  names of our own
                found[table] = int(cursor.fetchone()[0])
        return found

    def _live(self, root: Any, index: IndexSide, services: list[Service]) -> None:
        doc = index.sample("customers", 1)[0]
        with self._step("live", f"changing {doc} in MySQL and watching it arrive"):
            self.outcome.rows += damage.touch(root, [doc], "Live City")
            took = wait_for("the live change", lambda: damage.shows(index, doc, "Live City"), alive=_alive(services))
        self._say(f"it arrived after {took * 1000:.0f} ms")
        with self._step("probes", f"measuring the lag with {probes.PROBES} probes"):
            self.outcome.lag = probes.measure(root, index)
            self.outcome.rows += self.outcome.lag.probes

    def _harm(self, root: Any, index: IndexSide, services: list[Service]) -> tuple[list[Doc], list[Doc]]:
        removed, staled = damage.choose(index)
        old = {doc: index.source(doc) for doc in staled}
        self.outcome.rows += damage.touch(root, staled, "newer")
        wait_for(
            "the newer versions",
            lambda: all(damage.shows(index, doc, "newer") for doc in staled),
            alive=_alive(services),
        )
        with self._step("harm", f"deleting {len(removed)} documents and overwriting {len(staled)} with older ones"):
            for doc in removed:
                index.delete(doc)
            for doc, source in old.items():
                index.overwrite(doc, source or {})
        self.outcome.removed = sorted(map(str, removed))
        self.outcome.staled = sorted(map(str, staled))
        return removed, staled

    def _audit(self, config: Path, removed: list[Doc], staled: list[Doc]) -> None:
        with self._step("audit", f"auditing: it should name {len(removed)} missing and {len(staled)} stale documents"):
            report = call(["audit", "run", "-c", str(config), "--json"], allowed=_FOUND)
        found = _by_class(report)
        self.outcome.missing = found.pop("missing", [])
        self.outcome.stale = found.pop("stale", [])
        self.outcome.others = sorted(name for names in found.values() for name in names)

    def _repair(self, config: Path, root: Any, index: IndexSide, services: list[Service], docs: list[Doc]) -> None:
        with self._step("repair", "repairing what the audit found"):
            result = call(["audit", "repair", "-c", str(config), "--apply", "--json"], allowed=_FOUND)
            self.outcome.repaired = int(result["repaired"])
        with self._step("again", "changing the same rows in MySQL once more"):
            self.outcome.rows += damage.touch(root, docs, "once more")
            wait_for(
                "changes to the repaired rows",
                lambda: all(damage.shows(index, doc, "once more") for doc in docs),
                alive=_alive(services),
            )
        with self._step("second_audit", "auditing again"):
            report = call(["audit", "run", "-c", str(config), "--json"], allowed=_FOUND)
        self.outcome.clean_after_repair = report["status"] == "clean"

    def _stop(self, services: list[Service]) -> None:
        with self._step("stop", "stopping the services"):
            for service in services:
                service.check()
                code = service.stop()
                if code != 0:
                    raise DemoError(f"{service.name} ended with exit code {code}:\n{service.tail()}")


def _alive(services: list[Service]) -> Callable[[], None]:
    def check() -> None:
        for service in services:
            service.check()

    return check


def _by_class(report: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for table in report["tables"]:
        for finding in table["findings"]:
            found.setdefault(finding["class"], []).append(finding["document"])
    return {kind: sorted(names) for kind, names in found.items()}
