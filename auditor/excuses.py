"""Why a document may differ from its row and be right: what was refused, and what no event could carry."""

from __future__ import annotations

from collections.abc import Sequence

from auditor.dead_letters import DeadLetters
from auditor.doc import Doc
from auditor.events import events
from auditor.topic import Topic
from schemas.report import Differs
from schemas.shape import Shape


class Excuses:
    """One table's."""

    def __init__(self, topic: Topic, letters: DeadLetters, shape: Shape) -> None:
        self._topic = topic
        self._letters = letters
        self._shape = shape

    def refused(self, id_: str, doc: Doc | None) -> bool:
        """True if Elasticsearch refused an event that is newer than what the document shows."""
        self._letters.read_on()
        seen = doc.seq if doc is not None and doc.seq is not None else 0
        return self._letters.newest(id_) > seen

    def not_omitted(self, doc: Doc | None, differs: Sequence[Differs]) -> list[Differs]:
        """The fields without those that were too large for the event that the document shows."""
        if (
            doc is None
            or doc.partition is None
            or doc.offset is None
            or not any(one.found == "null" for one in differs)
        ):
            return list(differs)
        omitted = {
            self._shape.rules.field_of(column)
            for event in events(self._topic, [(doc.partition, doc.offset)])
            for column in event.envelope["source"].get("omitted", ())
        }
        return [one for one in differs if one.field not in omitted or one.found != "null"]
