"""Indexes dead-lettered events again, beside the running sinks, where nothing has overtaken them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack, closing
from itertools import islice

from confluent_kafka import KafkaException, TopicPartition

from ops.catalog import Catalog
from ops.elastic import client as elastic_client
from ops.elastic import raw
from ops.kafka import admin, consumer, topic_ids, translate
from ops.settings import Settings
from ops.shapes import Shapes
from schemas.errors import UsageError
from schemas.table import Table
from sink.case import Case, Ending
from sink.index import Indices
from sink.letterbox import Letterbox, Wanted, no_such
from sink.offsets import Mark
from sink.part import Part
from sink.replay_part import Desk, PartReplay

_TIMEOUT_S = 15
_MOST = 100_000  # letters, at 1 to 2 KB each


def replay(settings: Settings, client_id: str, wanted: Wanted, *, apply: bool) -> list[Case]:
    """Replay the wanted letters, in the order of their numbers; without `apply` only say what would be done.

    Raises `UsageError` for a number that is none, and every other `TidemarkError`: what was not finished then stands,
    and can be replayed again.
    """
    with ExitStack() as stack:
        letterbox = stack.enter_context(Letterbox(settings, client_id))
        cases = [Case(found) for found in islice(letterbox.standing(wanted), _MOST + 1)]
        if len(cases) > _MOST:
            raise UsageError(
                f"more than {_MOST:,} letters at once: they would not fit into memory",
                hint="Choose fewer with --table, --reason, --since and --until: `deadletter list` has the times.",
            )
        if missing := wanted.numbers - {case.number for case in cases}:
            raise no_such(missing)
        where = ", ".join(settings.elasticsearch.urls)
        client = stack.enter_context(elastic_client(settings.elasticsearch))
        desk = Desk(
            settings=settings,
            client_id=client_id,
            client=stack.enter_context(raw(settings.elasticsearch)),
            indices=Indices(client, settings.sink, settings.source.name, where),
            letterbox=letterbox,
        )
        _Replay(desk, stack.enter_context(Catalog(settings, client_id))).run(cases, apply=apply)
    return cases


class _Replay:
    def __init__(self, desk: Desk, catalog: Catalog) -> None:
        self._desk = desk
        self._catalog = catalog
        self._shapes = Shapes(desk.settings.sink)
        self._where = desk.settings.kafka.bootstrap_servers

    def run(self, cases: Sequence[Case], *, apply: bool) -> None:
        if not cases:
            return
        self._catalog.refresh()
        tables = {table.topic: table for table in self._catalog.latest.values()}
        topics = sorted({case.topic for case in cases})
        ids = topic_ids(admin(self._desk.settings.kafka, self._desk.client_id), topics, self._where)
        places: defaultdict[tuple[str, int], list[Case]] = defaultdict(list)
        for case in cases:
            if case.topic in ids and case.topic in tables:
                places[case.topic, case.partition].append(case)
            else:
                case.end(Ending.LEFT, "its topic is gone")
        for (topic, number), mine in sorted(places.items()):
            self._partition(tables[topic], ids[topic], number, mine, apply=apply)

    def _partition(self, table: Table, topic_id: str, number: int, cases: list[Case], *, apply: bool) -> None:
        index = self._desk.indices.find(table)
        low = self._low(table.topic, number)
        if index is None or low is None:
            for case in cases:
                case.end(Ending.LEFT, "its partition is gone" if low is None else "its index is not there")
            return
        part = Part(
            topic=table.topic, number=number, topic_id=topic_id, table=table.full_name, alias=index.alias,
            start=Mark(low, 0), began_ms=0, shape=self._shapes.of(table),
        )  # fmt: skip
        PartReplay(self._desk, part, index, cases, low=low).run(apply=apply)

    def _low(self, topic: str, number: int) -> int | None:
        """The partition's first offset, None if there is no such partition."""
        with closing(consumer(self._desk.settings.kafka, self._desk.client_id)) as reader:
            try:
                if number not in reader.list_topics(topic, timeout=_TIMEOUT_S).topics[topic].partitions:
                    return None
                return int(reader.get_watermark_offsets(TopicPartition(topic, number), timeout=_TIMEOUT_S)[0])
            except KafkaException as error:
                raise translate(error, self._where) from error
