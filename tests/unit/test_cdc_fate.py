"""What hangs in Kafka was committed or was not: every combination of what is seen and what is not."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest

from cdc.echo import echo
from cdc.fate import Fate, Judge, of_notes
from cdc.source.seam import Record
from schemas.key import BARRIER_KEY
from schemas.position import EPOCH_SHIFT
from schemas.record import Kind, read

COMMIT, ABORT, UNKNOWN = Fate.COMMIT, Fate.ABORT, Fate.UNKNOWN
OLD, NEW = 1000, 2000  # seq before the transaction, and after it
EPOCH = 5 << EPOCH_SHIFT


def seen(seq: int) -> Callable[[], int]:
    return lambda: seq


def unasked() -> int:
    pytest.fail("the position alone decides")


@pytest.mark.parametrize(
    ("committed", "records", "fate"),
    [
        (NEW, (1500, NEW), COMMIT),
        (OLD, (1500, NEW), ABORT),
        (OLD, (500, OLD), COMMIT),
        (OLD, (500, NEW), UNKNOWN),  # two transactions, one of each kind
        (0, (1, 1), ABORT),
    ],
)
def test_tables_hang(committed: int, records: tuple[int, int], fate: Fate) -> None:
    judge = Judge(committed, (), unasked)
    assert judge.changes(*records) is fate
    assert judge.positions is ABORT  # only claims hang there


@pytest.mark.parametrize(
    ("committed", "hidden", "visible", "positions", "records"),
    [
        (OLD, [NEW], OLD, ABORT, ABORT),  # nobody has seen any of it: as if it had not been
        (OLD, [NEW], 900, ABORT, ABORT),
        (OLD, [NEW], 1500, COMMIT, COMMIT),  # another partition shows it
        (OLD, [NEW], NEW, COMMIT, COMMIT),
        (OLD, [OLD], OLD, ABORT, ABORT),  # an idle source's position: no record depends on it
        (OLD, [1400, NEW], 1500, COMMIT, COMMIT),
        (OLD, [1600, NEW], 1500, UNKNOWN, UNKNOWN),  # the first was committed, and the second?
        (OLD, [NEW], 2500, UNKNOWN, UNKNOWN),  # something else has written
        (None, [NEW], 0, ABORT, ABORT),
        (None, [NEW], 1500, COMMIT, COMMIT),
        (None, [], 0, ABORT, ABORT),  # the first transaction of all
        (None, [], 1500, UNKNOWN, UNKNOWN),  # the position is lost
    ],
)
def test_the_position_hangs_or_is_not_there(
    committed: int | None, hidden: list[int], visible: int, positions: Fate, records: Fate
) -> None:
    judge = Judge(committed, hidden, seen(visible))
    assert judge.positions is positions
    assert judge.changes(1500, NEW) is records


@pytest.mark.parametrize(
    ("committed", "hidden", "rows", "positions"),
    [
        (OLD, [EPOCH], [], COMMIT),  # a reset: it would be undone
        (None, [EPOCH], [], COMMIT),  # a first start: the second one would begin later
        (OLD, [EPOCH, EPOCH], [(500, OLD)], COMMIT),  # what hangs beside it was committed before
        (OLD, [EPOCH], [(1500, NEW)], ABORT),  # all of it, or nothing
        (OLD, [EPOCH], [(EPOCH + 1024, EPOCH + 2048)], COMMIT),  # the transaction after it
        (EPOCH, [EPOCH], [], ABORT),
        (OLD, [EPOCH, EPOCH + 1024], [], ABORT),
        (OLD, [], [], ABORT),
    ],
)
def test_a_position_without_rows_stands(
    committed: int | None, hidden: list[int], rows: list[tuple[int, int]], positions: Fate
) -> None:
    assert Judge(committed, hidden, seen(committed or 0), rows).positions is positions


def test_records_without_a_seq_go_with_the_others() -> None:
    assert of_notes([ABORT, ABORT]) is ABORT
    assert of_notes([COMMIT]) is COMMIT
    assert of_notes([ABORT, COMMIT]) is UNKNOWN
    assert of_notes([]) is UNKNOWN


def record(key: bytes, value: object, headers: tuple[tuple[str, bytes], ...] = ()) -> Record:
    return Record("s.d.t", 1, key, None if value is None else orjson.dumps(value), headers)


def test_an_echo_keeps_every_digit() -> None:
    after = b'{"id":1,"doc":{"a":1.00000000000000000001,"b":123456789012345678901234567890,"c":[-0.0,1e400]},"n":7}'
    said = echo(Record("s.d.t", 1, b"{}", b'{"after":' + after + b',"source":{"seq":1024,"pos":4}}'), 2048)
    assert after in (said.value or b"")
    assert b'"seq":2048,"pos":4' in (said.value or b"")


def test_an_echo_changes_nothing() -> None:
    row = record(b'{"id":1}', {
        "op": "u", "before": {"id": 1, "n": 1}, "after": {"id": 1, "n": 2},
        "source": {"seq": 1024, "snapshot": "false"}, "transaction": {"id": "x:1"},
    }, (("__debezium.oldkey", b"{}"),))  # fmt: skip
    said = echo(row, 2048)
    found = orjson.loads(said.value or b"")
    assert (found["op"], found["before"], found["after"]) == ("r", None, {"id": 1, "n": 2})
    assert found["source"] == {"seq": 2048, "snapshot": "incremental"}
    assert (said.topic, said.partition, said.key, said.headers) == ("s.d.t", 1, b'{"id":1}', ())
    for gone in (record(b'{"id":1}', None, (("seq", b"1024"),)), record(b'{"id":1}', {"after": None})):
        dead = read(*echo(gone, 2048)[2:])
        assert (dead.kind, dead.seq) == (Kind.DELETE, 2048)
    barrier = record(BARRIER_KEY, {"op": "t", "source": {"seq": 1024}, "below": 1024})
    again = read(*echo(barrier, 2048)[2:])
    assert (again.kind, again.seq, again.below) == (Kind.BARRIER, 2048, 1024)
