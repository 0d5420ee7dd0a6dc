"""One document, one class: every state of the log beside every state of the document."""

from __future__ import annotations

import pytest

from auditor.classify import Log, Verdict, judge, split
from auditor.doc import Doc
from auditor.op import Barrier, Op
from schemas.document import cdc_block
from schemas.report import FindingClass

TOPIC = "topic-id"
SETTLED = {0: 100, 1: 100}


def op(kind: str, offset: int, *, partition: int = 0, key: str = "k") -> Op:
    return Op(key, partition, offset, offset * 1024, kind, 0)


def doc(of: Op | None = None, *, id_: str = "k", topic_id: str = TOPIC) -> Doc:
    source = {}
    if of is not None:
        source["_cdc"] = cdc_block(
            key=of.key, topic_id=topic_id, partition=of.partition, offset=of.offset, seq=of.seq, ts_ms=0
        )
    return Doc.read({"_id": id_, "_source": source, "_version": 1, "_seq_no": 1, "_primary_term": 1})


def log(last: Op | None, *pending: Op, **more: object) -> Log:
    return Log(topic_id=TOPIC, last=last, pending=pending, settled=SETTLED, **more)  # type: ignore[arg-type]


UP, OLD, DEL, NEXT, NEXT_DEL = op("u", 50), op("c", 10), op("d", 50), op("u", 150), op("d", 150)
M, O, S, F, D = (  # noqa: E741
    FindingClass.MISSING, FindingClass.ORPHAN, FindingClass.STALE, FindingClass.FOREIGN, FindingClass.DEAD_LETTERED
)  # fmt: skip


@pytest.mark.parametrize(
    ("case", "found", "kind"),
    [
        (log(UP), doc(UP), None),
        (log(UP), None, M),
        (log(UP), doc(OLD), S),
        (log(UP), doc(), S),
        (log(UP), doc(UP, topic_id="other"), S),
        (log(UP), doc(op("u", 50, partition=1)), S),
        (log(UP), doc(op("u", 60, partition=1)), S),
        (log(UP, others=frozenset({1})), doc(op("u", 60, partition=1)), None),
        (log(UP, others=frozenset({1})), doc(op("u", 40, partition=1)), S),
        (log(DEL, others=frozenset({1})), doc(op("u", 60, partition=1)), None),
        (log(None, others=frozenset({2})), doc(op("u", 60, partition=2)), None),
        (log(None, others=frozenset({2})), doc(op("u", 60, partition=3)), F),
        (log(None, others=frozenset({2})), doc(op("u", 60, partition=2), id_="copy"), F),
        (log(UP, NEXT), doc(NEXT), None),
        (log(UP, NEXT), None, M),
        (log(UP, NEXT), doc(OLD), S),
        (log(UP, NEXT_DEL), None, None),
        (log(UP, NEXT_DEL, op("u", 151)), None, None),
        (log(DEL), None, None),
        (log(DEL), doc(OLD), O),
        (log(DEL), doc(), O),
        (log(DEL, NEXT), doc(NEXT), None),
        (log(DEL, NEXT), doc(OLD), O),
        (log(None), None, None),
        (log(None), doc(OLD), O),
        (log(None), doc(), F),
        (log(None), doc(OLD, topic_id="other"), F),
        (log(None), doc(op("u", 5, partition=7)), F),
        (log(None), doc(OLD, id_="copy"), F),
        (log(None, NEXT), doc(OLD), None),
        (log(None, lower={0: 20}), doc(OLD), None),
        (log(None, lower={0: 20}, barriers=[Barrier(0, 60, OLD.seq + 1, 0)]), doc(OLD), O),
        (log(None, lower={0: 20}, barriers=[Barrier(0, 60, OLD.seq, 0)]), doc(OLD), None),
        (log(None, lower={0: 20}, barriers=[Barrier(1, 60, OLD.seq + 1, 0)]), doc(OLD), None),
        (log(None, lower={0: 20}, barriers=[Barrier(0, 160, OLD.seq + 1, 0)]), doc(OLD), None),
        (log(None, lower={0: 20}, barriers=[Barrier(0, 60, OLD.seq + 1, 0)]), None, None),
        (log(UP, dead_letters={UP.seq}), None, D),
        (log(UP, dead_letters={UP.seq}), doc(OLD), D),
        (log(UP, dead_letters={OLD.seq}), doc(OLD), S),
        (log(UP, barriers=[Barrier(0, 60, UP.seq + 1, 0)]), doc(UP), O),
        (log(UP, barriers=[Barrier(0, 60, UP.seq + 1, 0)]), None, None),
        (log(UP, barriers=[Barrier(0, 60, UP.seq, 0)]), None, M),
        (log(UP, barriers=[Barrier(0, 160, UP.seq + 1, 0)]), doc(UP), None),
        (log(UP, barriers=[Barrier(0, 160, UP.seq + 1, 0)]), None, None),
        (log(UP, barriers=[Barrier(1, 60, UP.seq + 1, 0)]), None, None),
        (log(UP, barriers=[Barrier(1, 60, UP.seq + 1, 0)]), doc(OLD), S),
    ],
)
def test_the_first_class_that_fits(case: Log, found: Doc | None, kind: FindingClass | None) -> None:
    assert judge(case, found).kind is kind


def test_in_flight_is_told_apart() -> None:
    assert judge(log(UP, NEXT), doc(NEXT)) == Verdict(None, UP, in_flight=True, shown=NEXT)
    assert judge(log(UP, NEXT_DEL), None).in_flight
    assert not judge(log(UP), doc(UP)).in_flight


def test_the_log_is_split_at_the_sinks_position() -> None:
    later = [op("u", 90), op("u", 120), op("d", 130)]
    assert split(UP, later, SETTLED) == (later[0], later[1:])
    assert split(None, later[1:], SETTLED) == (None, later[1:])
    assert split(UP, [], SETTLED) == (UP, [])
    elsewhere = [op("u", 20, partition=1)]
    assert split(UP, elsewhere, SETTLED) == (UP, [])


@pytest.mark.parametrize(
    "block", [None, [], "x", {}, {"key": 1}, {"offset": "5"}, {"partition": True}, {"key": ["k", "l"]}]
)
def test_a_document_of_any_shape_is_read(block: object) -> None:
    read = Doc.read({"_id": "k", "_source": {"_cdc": block}})
    assert not read.shows(UP, TOPIC)
    assert read.offset is None
