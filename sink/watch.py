"""Watches for tables: their versions in `__schema`, their topics, their indices."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from ops.catalog import Catalog
from ops.kafka import admin, committed, metadata, topic_ids, translate
from ops.log import logger
from ops.settings import Settings
from ops.shapes import Shapes
from schemas.errors import ConfigError, IndexMissingError, IndexRulesError, OffsetsLostError, TidemarkError
from schemas.fit import misfits, unknown
from schemas.shape import PLAIN, Shape
from schemas.table import Table
from sink import commit, deadletter, hints
from sink.follow import follow
from sink.index import Behind, Index, Indices
from sink.partitions import check, noted
from sink.retention import retention_s
from sink.strangers import HINT, refuse_other_case, strangers
from sink.trouble import Fault, Troubles

_log = logger(__name__)

_EVERY_S = 1.0
_TOPICS_EVERY_S = 5.0
_INDICES_EVERY_S = 10.0
_GONE_S = 15.0  # a broker that has just come up may not know its topics yet
_TIMEOUT_S = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A table that is indexed.

    `version`: the newest one that its index can take, -1 for none; `tried`: the newest one known. `shape` makes its
    documents; `retention_s`: how long compaction leaves a tombstone in the topic;
    `partitions`: of a topic that is not tidemark's, 0 otherwise.
    """

    table: str
    topic: str
    topic_id: str
    alias: str
    version: int
    tried: int
    retention_s: float
    shape: Shape = PLAIN
    partitions: int = 0


class Watcher:
    """A thread that keeps `targets` (topic -> Target) up to date. The first round's errors end the service.

    `only`: the one table (`database.table`) to look at; all if it is empty. `settled`, of an alias, is called before it
    is looked at, and what it gives when that was well.
    """

    def __init__(
        self,
        settings: Settings,
        indices: Indices,
        troubles: Troubles,
        fault: Fault,
        client_id: str,
        *,
        only: str = "",
        settled: Callable[[str], Callable[[], None]] = lambda _alias: lambda: None,
    ) -> None:
        self._only = only
        self._settings = settings
        self._indices = indices
        self._shapes = Shapes(settings.sink)
        self._troubles = troubles
        self._fault = fault
        self._client_id = client_id
        self._settled = settled
        self._where = settings.kafka.bootstrap_servers
        self._closing = threading.Event()
        self._wake = threading.Event()
        self._looked_at_topics = self._looked_at_indices = float("-inf")
        self._gone_since: dict[str, float] = {}
        self._behind: dict[str, str] = {}  # alias -> the index that it was last seen to lead to
        self.ready = threading.Event()
        self.targets: Mapping[str, Target] = {}
        self.outdated: frozenset[str] = frozenset()  # aliases of indices that were made by other rules
        self.strangers: Mapping[str, str] = {}  # configured, not captured -> what is said of it
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def look(self) -> None:
        """Look now: an event names a version that is not known yet."""
        self._wake.set()

    def close(self, timeout_s: float) -> None:
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            with Catalog(self._settings, self._client_id) as catalog:
                client = self._client()
                deadletter.ensure_topic(client, self._settings)
                self._indices.reach()
                self._round(catalog, client)
                self.ready.set()
                while not self._closing.is_set():
                    self._wake.wait(_EVERY_S)
                    self._wake.clear()
                    if not self._guarded(catalog, client):
                        # An admin client that asked while the broker was away may get no answer ever after, seen with
                        # librdkafka 2.16: only a new one is sure to.
                        client = self._client()
        except BaseException as error:  # noqa: BLE001  a side task's death ends the service, whatever it died of
            self._fault.set(error)

    def _client(self) -> AdminClient:
        return admin(self._settings.kafka, self._client_id)

    def _guarded(self, catalog: Catalog, client: AdminClient) -> bool:
        """A round; false if it has to be done again."""
        try:
            self._round(catalog, client)
        except TidemarkError as error:
            if not error.retryable:
                raise
            self._troubles.report("discovery", error.what)
            return False
        self._troubles.clear("discovery")
        return True

    def _round(self, catalog: Catalog, client: AdminClient) -> None:
        catalog.refresh(timeout_s=_TIMEOUT_S)
        tables = {table.topic: table for name, table in catalog.latest.items() if self._only in ("", name)}
        self._tell_strangers(catalog.latest)
        now = time.monotonic()
        if self._news(tables) or now - self._looked_at_topics >= _TOPICS_EVERY_S:
            self._update(catalog, client, tables)
            self._looked_at_topics = now
        if now - self._looked_at_indices >= _INDICES_EVERY_S:
            for target in self.targets.values():
                is_sound = self._settled(target.alias)
                self._check_rules(target)
                is_sound()
            self._looked_at_indices = now

    def _tell_strangers(self, captured: Collection[str]) -> None:
        """Say of which tables there is a section in the configuration, and nothing else."""
        configured = self._settings.sink.tables
        if not self.ready.is_set():
            refuse_other_case(configured, captured)
        found = dict(strangers(configured, captured)) if not configured.keys() <= set(captured) else {}
        for name, said in found.items():
            if name not in self.strangers:
                _log.warning(said, action="not_captured", table=name, hint=HINT)
        self.strangers = found

    def verify(self, topic: str, timeout_s: float) -> None:
        """Raise if a table's alias leads elsewhere, or nobody says in time where it leads. For any thread."""
        self._check_rules(self.targets[topic], timeout_s)

    def _check_rules(self, target: Target, timeout_s: float | None = None) -> None:
        """An index that has taken another's place has to be one that this sink's documents belong into."""
        behind = self._indices.behind(target.alias, timeout_s)
        before = self._behind.setdefault(target.alias, behind.name)
        if behind.name != before and not behind.made_by(target.shape.rules):
            raise IndexRulesError(
                f"{behind.name} has taken the place of {before}, and was made with another filter, transform, routing "
                f"or fields than this sink has for {target.table}",
                where=target.alias,
                hint="Start the sink with the configuration that the index was built with; then look for what was "
                "written by the old one: `tidemark audit run --deep`.",
            )
        self._behind[target.alias] = behind.name
        self._tell_outdated(target, behind)

    def _tell_outdated(self, target: Target, behind: Behind) -> None:
        """Of a section that was changed, or one that was not while the index was built anew: it may be either."""
        if behind.made_by(target.shape.rules):
            self.outdated -= {target.alias}
        elif target.alias not in self.outdated:
            self.outdated |= {target.alias}
            _log.warning(
                f"{behind.name} was made with another filter, transform, routing or fields than this sink has",
                action="outdated_index",
                table=target.table,
                hint="If this sink's section is the newer one, `tidemark sink rebuild` makes the documents anew. "
                "If not, start it with the one that the index was built with; then `tidemark audit run --deep`.",
            )

    def _news(self, tables: Mapping[str, Table]) -> bool:
        known = self.targets
        return any(topic not in known or known[topic].tried < table.version for topic, table in tables.items())

    def _update(self, catalog: Catalog, client: AdminClient, tables: Mapping[str, Table]) -> None:
        self._check_aliases(tables.values())
        ids = topic_ids(client, list(tables), self._where)
        self._check_gone(ids)
        targets = dict(self.targets)
        for topic, table in tables.items():
            target = self._possible(catalog, client, table, ids[topic]) if topic in ids else None
            if target is not None:
                targets[topic] = target
                self.targets = dict(targets)

    def _possible(self, catalog: Catalog, client: AdminClient, table: Table, topic_id: str) -> Target | None:
        """The table's target. Of one that comes later, and that what is configured does not fit, nothing is read."""
        try:
            return self._target(catalog, client, table, topic_id)
        except ConfigError as error:
            if not self.ready.is_set():
                raise
            self._troubles.report(f"table {table.full_name}", error.what, hint=error.hint)
            return self.targets.get(table.topic)

    def _check_gone(self, ids: Mapping[str, str]) -> None:
        """A topic that is gone has taken unread changes with it."""
        gone = set(self.targets) - set(ids)
        self._gone_since = {topic: self._gone_since.get(topic, time.monotonic()) for topic in gone}
        for topic, since in self._gone_since.items():
            self._troubles.report(f"topic {topic}", "it does not exist any more")
            if time.monotonic() - since >= _GONE_S:
                raise OffsetsLostError(
                    "the topic was deleted; what was not yet read of it is lost",
                    where=topic,
                    hint=hints.deleted_topic(self.targets[topic].table),
                )
        for topic in set(self.targets) - gone:
            self._troubles.clear(f"topic {topic}")

    def _check_aliases(self, tables: Iterable[Table]) -> None:
        known: dict[str, Table] = {}
        for table in tables:
            other = known.setdefault(self._indices.alias(table), table)
            if other is not table:
                raise ConfigError(
                    f"{other.full_name} and {table.full_name} have the same index `{self._indices.alias(table)}`",
                    where="[sink.tables]",
                    hint="Give each table an index of its own.",
                )

    def _target(self, catalog: Catalog, client: AdminClient, table: Table, topic_id: str) -> Target:
        known = self.targets.get(table.topic)
        shape = self._shapes.of(table)
        partitions = self._partitions(client, table) if shape.foreign else 0
        if known and partitions:
            check(noted(known.topic_id, known.partitions), table.topic, topic_id, partitions)
        if known and known.topic_id == topic_id and known.tried >= table.version and known.version >= table.version:
            return known
        if known is None:
            self._refuse_misfits(catalog, table)
        index = self._indices.find(table)
        if index is None:
            if known:
                self._indices.verify(known.alias)
            self._refuse_if_committed(client, table, topic_id)
            index = self._indices.create(table)
            if index.created:
                _log.info("index made", action="index_created", table=table.full_name, index=index.name)
        self._indices.keep_deletes(index)
        # Another sink may have been faster, and have known less.
        index = self._follow(catalog, index, table)
        if partitions:
            self._keep_partitions(index, table.topic, topic_id, partitions)
        return Target(
            table=table.full_name,
            topic=table.topic,
            topic_id=topic_id,
            alias=index.alias,
            version=index.version,
            tried=table.version,
            retention_s=known.retention_s if known else retention_s(client, table.topic, self._where, _TIMEOUT_S),
            shape=shape,
            partitions=partitions,
        )

    def _partitions(self, client: AdminClient, table: Table) -> int:
        topic = metadata(client, table.topic, self._where, _TIMEOUT_S)
        if topic.error is not None:
            raise translate(topic.error, self._where)
        return len(topic.partitions)

    def _keep_partitions(self, index: Index, topic: str, topic_id: str, count: int) -> None:
        about = self._indices.about(index)
        check(about, topic, topic_id, count)
        wanted = noted(topic_id, count)
        if {**about, **wanted} != about:
            self._indices.note(index, wanted)

    def _follow(self, catalog: Catalog, index: Index, newest: Table) -> Index:
        """Bring the mapping up to the newest version that it can take; a later one stops this table only."""
        trouble = f"table {newest.full_name}"
        followed = follow(self._indices, catalog, index, newest)
        if followed.conflict is None:
            self._troubles.clear(trouble)
        else:
            hint = hints.rebuild(newest.full_name)
            self._troubles.report(trouble, followed.conflict.what, hint=hint)
        return followed.index

    def _refuse_misfits(self, catalog: Catalog, table: Table) -> None:
        """What is configured of a table has to fit it when it is first seen."""
        rules = self._shapes.rules(table)
        found = [*misfits(rules, table), *unknown(rules, catalog.columns(table.full_name))]
        if found:
            raise ConfigError("; ".join(found), where=f'[sink.tables."{table.full_name}"]')

    def _refuse_if_committed(self, client: AdminClient, table: Table, topic_id: str) -> None:
        """An index that is gone is not made anew where offsets say that something was in it."""
        group = self._settings.sink_group
        topic = metadata(client, table.topic, self._where, _TIMEOUT_S)
        if topic.error is not None:
            raise translate(topic.error, self._where)
        places = [TopicPartition(table.topic, number) for number in topic.partitions]
        for part in committed(self._settings.kafka, group, places, _TIMEOUT_S):
            if part.offset < 0:
                continue
            found = commit.decode(part.metadata, f"{part.topic}[{part.partition}]")
            if found.topic_id == topic_id and found.seq:
                if self._indices.find(table) is not None:  # another sink has made it meanwhile, and written to it
                    return
                alias = self._indices.alias(table)
                raise IndexMissingError(
                    f"the index of {table.full_name} is gone, though the group {group} has written to it",
                    where=alias,
                    hint=hints.rebuild(table.full_name),
                )
