"""Why a document may differ from its row and be right: what was refused, and what no event could carry."""

from __future__ import annotations

from collections.abc import Sequence

from auditor.dead_letters import DeadLetters
from auditor.doc import Doc
from auditor.events import events
from auditor.later import Later
from auditor.op import Op
from auditor.store import Store
from auditor.topic import Topic
from schemas.report import Differs
from schemas.shape import Shape


class Excuses:
    """One table's."""

    def __init__(self, topic: Topic, letters: DeadLetters, shape: Shape, store: Store) -> None:
        self._topic = topic
        self._letters = letters
        self._shape = shape
        self._store = store
        self._later: Later | None = None
        self._last: dict[str, Op] = {}

    def look(self, ids: Sequence[str]) -> None:
        """Look up what was refused of these, and what has come of their keys since.

        To be called when the sink has passed what is judged next, and before rows and documents are read.
        """
        self._letters.read_on()
        refused = [id_ for id_ in ids if self._letters.newest(id_)]
        self._last = {}
        if refused:
            later = self._read_on()
            self._last = {id_: ops[-1] for id_, ops in later.of(refused).items()}

    def _read_on(self) -> Later:
        """The topic from its first letter on."""
        if self._later is None:
            lows = {number: self._topic.watermark(number).low for number in self._topic.partitions()}
            start = {number: max(low, lows[number]) for number, low in self._letters.lowest.items() if number in lows}
            self._later = Later(self._store, self._topic, start, ())
        self._later.read_on()
        return self._later

    def refused(self, id_: str, doc: Doc | None, *, gone: bool) -> bool:
        """True if Elasticsearch refused the last event of its key, and the document shows an older one.

        A letter stays where it is when a later event is good, and then explains nothing. `gone`: there is no row.
        """
        last = self._last.get(id_)
        if last is None or self._later is None or last.present is gone:
            return False
        swept = any(one.partition == last.partition and one.below > last.seq for one in self._later.barriers)
        seen = doc.seq if doc is not None and doc.seq is not None else 0
        return not swept and last.seq > seen and last.seq in self._letters

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
