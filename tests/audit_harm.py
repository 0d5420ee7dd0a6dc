"""Seeded harm: what a seed does to its keys in the topic and in the index, and what an audit must say of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

from auditing import Row, World
from schemas.key import document_id

Harmed = set[tuple[str, str]]  # (class, _id)

_ODD = [
    "a", "A", "a ", "a  ", " a", "é", "e\u0301", "\uffee", "\uff21", "\ue000", "\U00010000", "\U0001f600", "x" * 520,
    "ü" * 300, "\x00", '"', "\\", ",", "[]", "%", "*", "\u2028",
]  # fmt: skip


class Seeded:
    """One seed's keys in a world that others share. A fate is a method; the steps of all seeds are taken together."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.rng = random.Random(seed)
        self.seed = seed
        self.steps: list[list[tuple[str, Any, str]]] = [[], [], [], []]  # before the barrier, first, second, during
        self.lost: set[tuple[int, str]] = set()  # (step, text of the key): does not reach the index
        self.refused: list[tuple[int, str]] = []
        self.harms: list[Callable[[], list[dict[str, Any]]]] = []
        self.shallow: Harmed = set()  # what every audit says
        self.deep: Harmed = set()  # what a deep one says of the rest
        self.lucky: Harmed = set()  # of that, what another one says too if it lists the range for something else
        self._free = self._keys()
        fates = [name for name in dir(self) if name.startswith("fate_")]
        for name in self.rng.sample(fates, self.rng.randrange(8, len(fates))):
            getattr(self, name)()
        for key in self._free[: self.rng.randrange(20)]:
            self._do(1, "put", key)

    def _keys(self) -> list[Any]:
        plain = [f"k{number}" for number in range(60)]
        mixed = [*self.rng.sample(plain, 50), *_ODD]
        self.rng.shuffle(mixed)
        start = f"{self.seed}:"
        if len(self.world.key) == 1:
            return [start + text for text in mixed]
        return [(start + text, self.rng.choice(["", "1", "é", text[:9]])) for text in mixed]

    def _take(self) -> Any:
        return self._free.pop()

    def _do(self, step: int, what: str, key: Any, *, lost: bool = False) -> None:
        """`what`: put, drop, or lone (a tombstone alone)."""
        self.steps[step].append((what, key, f"{self.seed}/{step}"))
        if lost:
            self.lost.add((step, self.text(key)))

    def text(self, key: Any) -> str:
        return self.world.row(key).text

    def id(self, key: Any) -> str:
        return document_id(self.text(key))

    def _wrong(self, kind: str, key: Any) -> None:
        self.shallow.add((kind, self.id(key)))

    def _rows(self, key: Any) -> list[Row]:
        text = self.text(key)
        return [row for row in self.world.rows if row.text == text and row.after is not None]

    def _plain(self, id_: str, source: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
        return [{"index": {"_index": self.world.index, "_id": id_, **more}}, source]

    def _source(self, key: Any, which: int = -1) -> dict[str, Any]:
        return self._rows(key)[which].source(self.world.topic_id)

    # -- what is right ---------------------------------------------------------------------------------------------

    def fate_swept(self) -> None:
        self._do(0, "put", self._take())

    def fate_reborn(self) -> None:
        key = self._take()
        self._do(0, "put", key)
        self._do(1, "put", key)

    def fate_updated(self) -> None:
        key = self._take()
        self._do(1, "put", key)
        self._do(2, "put", key)

    def fate_deleted(self) -> None:
        key = self._take()
        self._do(1, "put", key)
        self._do(2, self.rng.choice(["drop", "lone"]), key)

    def fate_never_there(self) -> None:
        self._do(2, "lone", self._take())

    # -- what is lost on the way -----------------------------------------------------------------------------------

    def fate_lost_insert(self) -> None:
        key = self._take()
        self._do(1, "put", key, lost=True)
        self._wrong("missing", key)

    def fate_lost_update(self) -> None:
        key = self._take()
        self._do(1, "put", key)
        self._do(2, "put", key, lost=True)
        self._wrong("stale", key)

    def fate_lost_delete(self) -> None:
        key = self._take()
        self._do(1, "put", key)
        self._do(2, self.rng.choice(["drop", "lone"]), key, lost=True)
        self._wrong("orphan", key)

    def fate_refused(self) -> None:
        key = self._take()
        if self.rng.random() < 0.5:
            self._do(1, "put", key)
        self._do(2, "put", key, lost=True)
        self.refused.append((2, self.text(key)))
        self._wrong("dead_lettered", key)

    # -- what somebody does to the index ---------------------------------------------------------------------------

    def fate_removed(self) -> None:
        for _ in range(self.rng.randrange(1, 4)):
            key = self._take()
            self._do(1, "put", key)
            self.harms.append(lambda key=key: [{"delete": {"_index": self.world.index, "_id": self.id(key)}}])
            self._wrong("missing", key)

    def fate_unswept(self) -> None:
        key = self._take()
        self._do(0, "put", key)
        self.harms.append(lambda: self._plain(self.id(key), self._source(key)))
        self._wrong("orphan", key)

    def fate_zombie_beside_a_missing_one(self) -> None:
        for key, kind in ((self._take(), "missing"), (self._take(), "orphan")):
            self._do(1, "put", key)
            if kind == "orphan":
                self._do(2, "drop", key)
                self.harms.append(lambda key=key: self._plain(self.id(key), self._source(key)))
            else:
                self.harms.append(lambda key=key: [{"delete": {"_index": self.world.index, "_id": self.id(key)}}])
            self._wrong(kind, key)

    def fate_restored(self) -> None:
        key = self._take()
        self._do(1, "put", key)
        self._do(2, "put", key)
        self.harms.append(lambda: self._plain(self.id(key), self._source(key, 0)))
        self._wrong("stale", key)

    def fate_without_cdc(self) -> None:
        key = self._take()
        self._do(1, "put", key)
        self.harms.append(lambda: self._plain(self.id(key), {"text": "by hand"}))
        self._wrong("stale", key)

    def fate_foreign(self) -> None:
        key, id_ = self._take(), f"{self.seed}:nobody"
        self._do(1, "put", key)
        where = self.rng.choice(["", "topic_id", "copy"])
        source: dict[str, Any] = {"text": "whose?"}

        def harm() -> list[dict[str, Any]]:
            if where:
                source.update(self._source(key))
                source["_cdc"] |= {"topic_id": "another"} if where == "topic_id" else {}
            return self._plain(id_, source)

        self.harms.append(harm)
        self.shallow.add(("foreign", id_))

    def fate_ghost(self) -> None:
        key, ghost = self._take(), self._take()
        self._do(1, "put", key)

        def harm() -> list[dict[str, Any]]:
            source = self._source(key)
            return self._plain(self.id(ghost), {**source, "_cdc": {**source["_cdc"], "key": self.text(ghost)}})

        self.harms.append(harm)
        self._wrong("orphan", ghost)

    # -- what only a deep audit sees -------------------------------------------------------------------------------

    def fate_touched(self) -> None:
        key = self._take()
        self._do(1, "put", key)
        more = self.rng.choice([{}, {"text": "by hand"}, {"extra": 1}])
        self.harms.append(lambda: self._plain(self.id(key), {**self._source(key), **more}))
        self.deep.add(("tampered", self.id(key)))

    def fate_other_content(self) -> None:
        key = self._take()
        self._do(1, "put", key)
        more = self.rng.choice([{"text": None}, {"text": 1}, {"text": "V"}, {"extra": []}])

        def harm() -> list[dict[str, Any]]:
            version = self._rows(key)[-1].seq
            return self._plain(
                self.id(key), {**self._source(key), **more}, version=version, version_type="external_gte"
            )

        self.harms.append(harm)
        self.deep.add(("content", self.id(key)))

    def fate_repaired(self) -> None:
        key = self._take()
        self._do(1, "put", key)
        rev = self.rng.randrange(1, 1024)

        def harm() -> list[dict[str, Any]]:
            row = self._rows(key)[-1]
            source = row.source(self.world.topic_id, rev)
            return self._plain(self.id(key), source, version=row.seq + rev, version_type="external")

        self.harms.append(harm)

    def fate_moved(self) -> None:
        key, id_ = self._take(), f"{self.seed}:moved"
        self._do(1, "put", key)
        self.harms.append(
            lambda: [
                {"delete": {"_index": self.world.index, "_id": self.id(key)}},
                *self._plain(id_, self._source(key)),
            ]
        )
        self.lucky |= {("missing", self.id(key)), ("foreign", id_)}

    def fate_swapped(self) -> None:
        one, other = self._take(), self._take()
        for key in (one, other):
            self._do(1, "put", key)
            self.lucky.add(("stale", self.id(key)))
        self.harms.append(
            lambda: self._plain(self.id(one), self._source(other)) + self._plain(self.id(other), self._source(one))
        )

    # -- what happens past the watermark, while the audit runs -----------------------------------------------------

    def fate_moving(self) -> None:
        for what in ("put", "drop", "lone"):
            key = self._take()
            self._do(1, "put", key)
            self._do(3, what, key)

    def fate_new_one(self) -> None:
        self._do(3, "put", self._take())

    def fate_missing_until_it_changes(self) -> None:
        for what in ("put", "drop"):
            key = self._take()
            self._do(1, "put", key, lost=True)
            self._do(3, what, key)

    def fate_stale_until_it_changes(self) -> None:
        for what in ("put", "drop"):
            key = self._take()
            self._do(1, "put", key)
            self._do(2, "put", key, lost=True)
            self._do(3, what, key)

    def fate_orphan_until_it_is_back(self) -> None:
        key = self._take()
        self._do(1, "put", key)
        self._do(2, "drop", key, lost=True)
        self._do(3, "put", key)


class Harm:
    """All seeds of one world, step by step; `during` is for the time of the audit."""

    def __init__(self, world: World, seeds: Iterable[int]) -> None:
        self.world = world
        self.seeds = [Seeded(world, seed) for seed in seeds]
        self._step(0)
        world.barrier()
        world.sync()
        for step in (1, 2):
            self._step(step)
        operations = [line for one in self.seeds for harm in one.harms for line in harm()]
        world._bulk_now(operations)

    def _step(self, step: int) -> None:
        world = self.world
        lost = {text for one in self.seeds for number, text in one.lost if number == step}
        for what in ("put", "drop", "lone"):
            keys = [key for one in self.seeds for kind, key, _ in one.steps[step] if kind == what]
            if what == "put":
                world.put(*keys, text=f"step {step}")
            else:
                world.drop(*keys, lone=what == "lone")
        refused = {text for one in self.seeds for number, text in one.refused if number == step}
        for row in world.rows[world.synced :]:
            if row.text in refused:
                world.dead_letter(row)
        world.sync(skip=lambda row: row.text in lost)

    def during(self) -> None:
        self._step(3)

    @property
    def shallow(self) -> Harmed:
        return set().union(*(one.shallow for one in self.seeds))

    @property
    def lucky(self) -> Harmed:
        return set().union(*(one.lucky for one in self.seeds))

    @property
    def deep(self) -> Harmed:
        return set().union(self.shallow, self.lucky, *(one.deep for one in self.seeds))
