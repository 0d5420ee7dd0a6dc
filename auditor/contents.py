"""Documents that show the right event, compared with what that event makes: version first, then every field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from auditor.case import Case
from auditor.differences import differences
from auditor.events import Event, events
from auditor.op import Op
from auditor.topic import Topic
from auditor.wanted import Wanted
from schemas.report import FindingClass


class Contents:
    """One table's topic, of which single events are read again."""

    def __init__(self, topic: Topic, wanted: Wanted) -> None:
        self._topic = topic
        self._wanted = wanted

    def compare(self, cases: Sequence[Case]) -> Iterator[Case]:
        """The same cases; those that nothing else is wrong with are compared with the event that they show."""
        shown = [op for case in cases if (op := _shown(case)) is not None]
        found = {(e.partition, e.offset): e for e in events(self._topic, ((op.partition, op.offset) for op in shown))}
        for case in cases:
            op = _shown(case)
            event = found.get((op.partition, op.offset)) if op else None
            # An event that compaction has removed had a newer one of its key, which the sink is to apply.
            yield case if op is None or event is None else self._compared(case, op, event)

    def _compared(self, case: Case, op: Op, event: Event) -> Case:
        expected = self._wanted.of_event(op.key, event)
        if case.doc is None or expected is None:
            return case
        differs = tuple(differences(expected, case.doc.source or {}))
        if not differs and not case.doc.tampered:
            return case
        kind = FindingClass.TAMPERED if case.doc.tampered else FindingClass.CONTENT
        return case._replace(verdict=case.verdict._replace(kind=kind, expected=op, in_flight=False), differs=differs)


def _shown(case: Case) -> Op | None:
    """The event to compare with; None if the document is wrong already, or not there."""
    return None if case.verdict.kind is not None or case.doc is None else case.verdict.shown
