"""Records become produce calls without a record overtaking another one of its topic."""

from __future__ import annotations

import random

from cdc.runs import LONGEST, Run, runs
from cdc.source.seam import Record


def flat(items: list[Run | Record]) -> list[tuple[str, int, bytes, bytes | None]]:
    found = []
    for item in items:
        if isinstance(item, Record):
            found.append((item.topic, item.partition, item.key, item.value))
        else:
            found += [(item.topic, item.partition, m["key"], m["value"]) for m in item.messages]
    return found


def test_records_with_headers_go_alone_and_in_their_place() -> None:
    plain, marked = Record("t", 0, b"1", b"a"), Record("t", 0, b"1", None, (("seq", b"1"),))
    made = list(runs([plain, marked, plain]))
    assert [type(item) for item in made] == [Run, Record, Run]
    assert flat(made) == [(r.topic, r.partition, r.key, r.value) for r in (plain, marked, plain)]


def test_order_holds_in_every_partition() -> None:
    rng = random.Random(7)
    records = [
        Record(f"t{rng.randrange(3)}", rng.randrange(4), str(n).encode(), b"v", (("h", b"1"),) * (rng.random() < 0.1))
        for n in range(2000)
    ]
    made = flat(list(runs(records)))
    for place in {(r.topic, r.partition) for r in records}:
        assert [m[2] for m in made if m[:2] == place] == [r.key for r in records if (r.topic, r.partition) == place]


def test_a_run_is_never_longer_than_the_queue_takes() -> None:
    made = [item for item in runs(Record("t", 0, b"k", b"v") for _ in range(LONGEST * 2 + 1)) if isinstance(item, Run)]
    assert [len(run.messages) for run in made] == [LONGEST, LONGEST, 1]


def test_nothing_gives_nothing() -> None:
    assert list(runs([])) == []
