"""Asks for suspects again, in real time, beside the newest that the log says: only what is left is a finding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from auditor.case import Case
from auditor.classify import Log, judge, split
from auditor.contents import Contents
from auditor.dead_letters import DeadLetters
from auditor.later import Later
from auditor.page import in_parts
from auditor.realtime import Realtime
from auditor.sink_side import Settled, SinkSide
from auditor.suspects import Suspect

CHUNK = 4000  # less than half of index.max_result_window, for tables with a routing
DEEP_CHUNK = 50  # whole documents may be megabytes


class Confirm:
    """One table. `settled` is where the sink was when the search began.

    `contents`: for a deep audit; `realtime` then gets whole documents.
    """

    def __init__(
        self,
        *,
        topic_id: str,
        later: Later,
        realtime: Realtime,
        sink: SinkSide,
        letters: DeadLetters,
        settled: Settled,
        lower: Mapping[int, int],
        others: frozenset[int] = frozenset(),
        contents: Contents | None = None,
    ) -> None:
        self._topic_id = topic_id
        self._later = later
        self._realtime = realtime
        self._sink = sink
        self._letters = letters
        self._settled = settled
        self._lower = lower
        self._others = others
        self._contents = contents

    def cases(self, chunks: Iterable[Sequence[Suspect]]) -> Iterator[Case]:
        """Judge every suspect, those that turn out right included."""
        for chunk in chunks:
            yield from in_parts(chunk, self._judged)

    def _judged(self, chunk: Sequence[Suspect]) -> Iterable[Case]:
        judged = list(self._chunk(chunk))
        return self._contents.compare(judged) if self._contents else judged

    def _chunk(self, chunk: Sequence[Suspect]) -> Iterator[Case]:
        # The order matters: what the sink had settled before we looked must show; what was committed to the topic by
        # the time we had looked may show.
        self._settled = self._sink.now(self._settled)
        ids = [suspect.id for suspect in chunk]
        docs = self._realtime.get(ids)
        self._later.read_on()
        later = self._later.of(ids)
        self._letters.read_on()
        for suspect in chunk:
            last, pending = split(suspect.last, later.get(suspect.id, ()), self._settled.offsets)
            log = Log(
                topic_id=self._topic_id,
                last=last,
                pending=pending,
                barriers=self._later.barriers,
                settled=self._settled.offsets,
                lower=self._lower,
                others=self._others,
                dead_letters=self._letters,
            )
            doc = docs.get(suspect.id)
            yield Case(suspect.id, judge(log, doc), doc)
