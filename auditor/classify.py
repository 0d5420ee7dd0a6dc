"""What is wrong with one document, if anything. Pure: the log on one side, the document on the other."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from auditor.doc import Doc
from auditor.op import BARRIER, Barrier, Op
from schemas.report import FindingClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What the log says of one document's key, split at the sink's position.

    `last`: the last operation below it, so the state that must have been reached; `pending`: operations at or past it,
    which may or may not be applied; `barriers`: every barrier read; `settled`: partition -> the sink's position.
    `lower`: partition -> offset below which the log cannot judge a document; `others`: partitions that were not read.
    `dead_letters`: seqs of the table's events that Elasticsearch refused.
    """

    topic_id: str
    last: Op | None
    pending: Sequence[Op] = ()
    barriers: Sequence[Barrier] = ()
    settled: Mapping[int, int] = field(default_factory=dict)
    lower: Mapping[int, int] = field(default_factory=dict)
    others: frozenset[int] = frozenset()
    dead_letters: Container[int] = frozenset()

    def must(self) -> Op | None:
        """`last`, or the barrier of its own partition that removed it and that the sink is past."""
        if self.last is None:
            return None
        return self.swept(self.last.key, self.last.partition, self.last.seq) or self.last

    def swept(self, key: str, partition: int, seq: int) -> Op | None:
        """The barrier that removed what this partition held of a key with this seq, if the sink is past it."""
        over = [
            barrier
            for barrier in self.barriers
            if barrier.partition == partition
            and barrier.below > seq
            and barrier.offset < self.settled.get(partition, 0)
        ]
        if not over:
            return None
        top = max(over, key=lambda barrier: barrier.below)
        return Op(key, top.partition, top.offset, top.below, BARRIER, top.ts_ms)

    def may_be_gone(self) -> bool:
        """True if something that the sink may have applied already removes the document."""
        seq = self.last.seq if self.last else 0
        deleted = any(not op.present for op in self.pending)
        # A barrier stands in every partition; the sink may have passed another one's first.
        return deleted or any(barrier.below > seq for barrier in self.barriers)


class Verdict(NamedTuple):
    """`kind` None: the document is right, `in_flight` if only an event that is not settled yet explains it.

    `expected`: what must be there; None if the log knows nothing of the document. `shown`: the operation that the
    document shows, where that is a right one.
    """

    kind: FindingClass | None
    expected: Op | None
    in_flight: bool = False
    shown: Op | None = None


def split(last: Op | None, later: Sequence[Op], settled: Mapping[int, int]) -> tuple[Op | None, list[Op]]:
    """The last operation below the sink's position, and those at or past it. `later` is in the order of seq."""
    done = [op for op in later if op.offset < settled.get(op.partition, 0)]
    pending = [op for op in later if op.offset >= settled.get(op.partition, 0)]
    candidates = [*done, *([last] if last else [])]
    return max(candidates, key=lambda op: (op.seq, op.offset), default=None), pending


def judge(log: Log, doc: Doc | None) -> Verdict:
    """The first class that fits. `doc` None: there is no such document."""
    must = log.must()
    if doc is None:
        return _absent(log, must)
    if must is not None and doc.shows(must, log.topic_id):
        return Verdict(None, must, shown=must)
    shown = next((op for op in log.pending if doc.shows(op, log.topic_id)), None)
    if shown is not None:
        return Verdict(None, must, in_flight=True, shown=shown)
    if _is_of_others(log, must, doc):
        return Verdict(None, must)
    if must is None or doc.elsewhere:
        return _unknown(log, doc)
    return Verdict(_explained(log, must) or (FindingClass.STALE if must.present else FindingClass.ORPHAN), must)


def _is_of_others(log: Log, must: Op | None, doc: Doc) -> bool:
    """True if it shows a later event of a partition that somebody else audits: theirs to judge."""
    theirs = not doc.elsewhere and doc.topic_id == log.topic_id and doc.at_home and doc.partition in log.others
    return theirs and doc.seq is not None and (must is None or doc.seq > must.seq)


def _absent(log: Log, must: Op | None) -> Verdict:
    if must is None or not must.present:
        return Verdict(None, must)
    if log.may_be_gone():
        return Verdict(None, must, in_flight=True)
    return Verdict(_explained(log, must) or FindingClass.MISSING, must)


def _unknown(log: Log, doc: Doc) -> Verdict:
    if doc.elsewhere:
        return Verdict(FindingClass.FOREIGN, None)
    if doc.topic_id != log.topic_id or not doc.at_home:
        return Verdict(FindingClass.FOREIGN, None)
    return _of_no_event(log, doc)


def _of_no_event(log: Log, doc: Doc) -> Verdict:
    """Of this topic, though the log that was read says nothing of its key."""
    if doc.partition is None or doc.offset is None or doc.partition not in log.settled:
        return Verdict(FindingClass.FOREIGN, None)
    # A barrier speaks of documents that are older than all that was read, too.
    swept = None if doc.key is None or doc.seq is None else log.swept(doc.key, doc.partition, doc.seq)
    if swept is not None:
        return Verdict(FindingClass.ORPHAN, swept)
    if doc.offset < log.lower.get(doc.partition, 0):
        return Verdict(None, None)
    if log.pending:
        # Compaction has removed what the document shows, since a newer event is there that the sink is to apply.
        return Verdict(None, None, in_flight=True)
    return Verdict(FindingClass.ORPHAN, None)


def _explained(log: Log, must: Op) -> FindingClass | None:
    return FindingClass.DEAD_LETTERED if must.seq in log.dead_letters else None
