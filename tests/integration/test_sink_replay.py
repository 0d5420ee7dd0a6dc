"""`tidemark sink deadletter` beside a running sink, on the real servers."""

from __future__ import annotations

from contextlib import closing

import pytest

from auditor.dead_letters import DeadLetters
from auditor.run_context import Context
from events import STEP
from ops.config import load
from schemas.errors import ExitCode, UsageError
from schemas.table import Column, ColumnType
from sink.deadletter import DeadLetters as DeadLetterTopic
from sink.letterbox import Letterbox, Wanted
from sink_cli import sink_command, sink_json
from sink_world import World

pytestmark = pytest.mark.stack

NUMBERS = tuple(Column(name=name, type=ColumnType.BIGINT) for name in ("id", "n", "m"))
TABLE = "shop.n"
TOO_MUCH = 2**63  # what no BIGINT holds


@pytest.fixture
def refused(world: World) -> World:
    """Six keys whose last or last but one event was refused: for `n`, of 9 for `m`."""
    world.source.table(TABLE, NUMBERS)
    world.be_patient()
    world.sink()

    def poison() -> None:
        world.source.put({"id": 4, "n": TOO_MUCH, "m": 0}, TABLE)
        world.source.barrier(TABLE)
        for key in (5, 6, 7, 8):
            world.source.put({"id": key, "n": TOO_MUCH, "m": 0}, TABLE)
        world.source.put({"id": 9, "n": 0, "m": TOO_MUCH}, TABLE)

    world.source.transact(poison)
    world.await_committed(TABLE)
    world.put({"id": 6, "n": 6, "m": 0}, table=TABLE)
    world.source.transact(lambda: world.source.delete({"id": 7}, TABLE))
    world.source.transact(lambda: world.source.delete({"id": 8}, TABLE, event=False))
    world.await_equal(TABLE)
    return world


def outcomes(found: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    return {letter["id"]: letter["outcome"] for letter in found["letters"]}


def explained(world: World) -> set[int]:
    """Seqs that an audit would take for explained."""
    assert world.pipeline
    settings = load(world.pipeline.config).settings
    with closing(DeadLetters(Context(settings=settings), world.alias(TABLE), world.alias(TABLE))) as letters:
        letters.read_on()
        return {seq for seq in range(1 << 50, world.source.seq + 1, STEP) if seq in letters}


def mend(world: World) -> None:
    """The index takes any `n` from now on."""
    world.client.indices.put_mapping(
        index=world.alias(TABLE), properties={"n": {"type": "long", "ignore_malformed": True}}
    )


def test_listed_shown_and_replayed(refused: World) -> None:
    world, sink = refused, refused.pipeline
    assert sink
    listed = sink_json(sink, "deadletter", "list")
    assert {letter["id"] for letter in listed["letters"]} == {"4", "5", "6", "7", "8", "9"}
    assert {letter["overtaken"] for letter in listed["letters"]} == {None}
    checked = sink_json(sink, "deadletter", "list", "--check")["letters"]
    assert {letter["id"]: letter["overtaken"] for letter in checked} == {**dict.fromkeys("45789", False), "6": True}
    assert sink_command(sink, "deadletter", "list", "--check")[1].count("in the index; 400") == 1
    (letter,) = sink_json(sink, "deadletter", "list", "--reason", "field [M]", "--table", "shop.*")["letters"]
    assert letter["id"] == "9"
    assert letter["table"] == TABLE
    assert letter["type"] == "document_parsing_exception"
    assert not sink_json(sink, "deadletter", "list", "--since", "2100-01-01")["letters"]
    assert not sink_json(sink, "deadletter", "list", "--until", "1h")["letters"]
    shown = sink_json(sink, "deadletter", "show", str(letter["number"]))
    assert shown["event"]["after"] == {"id": 9, "n": 0, "m": TOO_MUCH}
    assert shown["event"]["source"]["seq"] == shown["seq"] == letter["seq"]
    with pytest.raises(UsageError, match="no dead letter stands with number 123456"):
        sink_command(sink, "deadletter", "replay", "123456")
    with pytest.raises(UsageError, match="no captured table, and no dead letter is of one"):
        sink_command(sink, "deadletter", "replay", "--table", "shop.m")

    mend(world)
    assert int(letter["seq"]) in explained(world)
    overtaken = {"4": "overtaken", "6": "overtaken", "7": "overtaken", "8": "overtaken"}
    dry = sink_json(sink, "deadletter", "replay", "--dry-run")
    assert outcomes(dry) == {**overtaken, "5": "planned", "9": "planned"}
    assert not dry["applied"]
    assert len(sink_json(sink, "deadletter", "list")["letters"]) == 6
    assert "5" not in world.shown(TABLE)

    done = sink_json(sink, "deadletter", "replay", code=ExitCode.FINDINGS)
    assert outcomes(done) == {**overtaken, "5": "indexed", "9": "refused"}
    assert done["counts"] == {"overtaken": 4, "indexed": 1, "refused": 1}
    assert "field [m]" in next(letter["reason"] for letter in done["letters"] if letter["id"] == "9")
    world.rows[TABLE] = {"5": {"id": 5, "n": TOO_MUCH, "m": 0}, "6": {"id": 6, "n": 6, "m": 0}}
    world.await_equal(TABLE)
    assert [letter["id"] for letter in sink_json(sink, "deadletter", "list")["letters"]] == ["9"]
    assert explained(world) == {int(letter["seq"])}

    world.put({"id": 9, "n": 9, "m": 9}, table=TABLE)  # a good version heals the key
    world.await_equal(TABLE)
    code, out = sink_command(sink, "deadletter", "replay")
    assert code == 0
    assert "overtaken" in out
    assert "no dead letters" in sink_command(sink, "deadletter", "list")[1]
    assert not explained(world)
    assert "partitions left" not in sink.log("sink")
    assert sink.stop("sink") == 0


def test_a_letter_that_is_written_while_an_older_one_is_dropped_stands(refused: World) -> None:
    assert refused.pipeline
    settings = load(refused.pipeline.config).settings
    with Letterbox(settings, "t") as letterbox:
        old = next(found for found in letterbox.standing(Wanted()) if found.letter.id == "5")
        refused.source.transact(lambda: refused.source.put({"id": 5, "n": TOO_MUCH + 1, "m": 0}, TABLE))
        refused.await_committed(TABLE)
        letterbox.drop({old.letter.record_key(): old.letter.seq})
    with Letterbox(settings, "t") as letterbox:
        (new,) = (found for found in letterbox.standing(Wanted()) if found.letter.id == "5")
    assert new.letter.seq == refused.source.seq
    assert new.letter.seq in explained(refused)
    assert old.letter.seq not in explained(refused)
    assert new.number > old.number + 2  # it stands behind the drop, where compaction leaves it
    late = DeadLetterTopic(settings, "t")
    late.write([old.letter], wanted=lambda: True, ours=lambda: False)  # a frozen sink's, which has woken up
    late.close()
    with Letterbox(settings, "t") as letterbox:
        (again,) = (found for found in letterbox.standing(Wanted()) if found.letter.id == "5")
    assert again.letter == new.letter
    assert again.number > new.number + 1


def test_no_letters_at_all(world: World) -> None:
    world.source.table(TABLE, NUMBERS)
    sink = world.sink(ready=False)
    assert sink_json(sink, "deadletter", "list")["letters"] == []
    assert sink_json(sink, "deadletter", "replay")["letters"] == []
    assert "no dead letters" in sink_command(sink, "deadletter", "replay")[1]
