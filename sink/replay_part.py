"""Replays the dead letters of one partition.

Whether an event still counts is read from its partition before every write, and once more after it: what came in
between, a delete above all, may have been applied before ours landed, and wins all the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from elasticsearch import Elasticsearch

from ops.control import ControlReader
from ops.retry import until_stopped
from ops.settings import Settings
from ops.stop import Stop
from schemas.errors import DocumentError, UnreachableError
from sink.action import Actions
from sink.bound import cuts
from sink.bulk import Answer, Reply, send
from sink.case import Case, Ending
from sink.index import Index, Indices
from sink.letterbox import Letterbox
from sink.outcome import Outcome
from sink.part import Item, Part, item_in
from sink.settle import fatal
from sink.since import SILENCE_S, Since

_BATCH = 500
_BATCH_BYTES = 1 << 20
_APPLIED = Answer(Outcome.APPLIED, 200)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What a replay works with. `client` answers with raw bytes."""

    settings: Settings
    client_id: str
    client: Elasticsearch
    indices: Indices
    letterbox: Letterbox

    def reader(self, topic: str, number: int, offset: int) -> ControlReader:
        return ControlReader(self.settings.kafka, self.client_id, topic, start={number: offset})


class PartReplay:
    """The letters of one partition whose topic is there. `low`: its first offset; `index`: where documents go."""

    def __init__(self, desk: Desk, part: Part, index: Index, cases: Sequence[Case], *, low: int) -> None:
        self._desk = desk
        self._part = part
        self._actions = Actions(part)
        self._index = index
        self._cases = sorted(cases, key=lambda case: case.offset)
        self._low = low
        self._most_bytes = _BATCH_BYTES

    def run(self, *, apply: bool) -> None:
        """Give each case its ending; write only with `apply`. Raises `TidemarkError` if the servers do not let it."""
        first = max(self._low, self._cases[0].offset if self._same_topic(self._cases[0]) else 0)
        with self._desk.reader(self._part.topic, self._part.number, first) as reader:
            self._since = Since(reader, self._part, self._cases)
            self._since.read_on()
            for case in self._cases:
                self._judge_first(case)
            if apply:
                self._close([case for case in self._cases if case.ending is Ending.OVERTAKEN])
                for batch in self._batches([case for case in self._cases if case.ending is Ending.PLANNED]):
                    self._replay(batch)

    def _same_topic(self, case: Case) -> bool:
        return case.topic_id == self._part.topic_id

    def _judge_first(self, case: Case) -> None:
        if case.overtaken_by:
            case.end(Ending.OVERTAKEN)
        elif not self._same_topic(case):
            case.end(Ending.LEFT, "its topic was deleted and made again")
        elif case.offset < self._low:
            case.end(Ending.LEFT, "the topic has lost its records from there on: a later one may be among them")
        elif not case.there:
            # Only a later record of the key lets compaction take it; that one, a tombstone, is gone as well.
            case.end(Ending.OVERTAKEN, "compaction has removed it, and the delete that came after it")
        else:
            case.end(Ending.PLANNED)

    def _batches(self, cases: Sequence[Case]) -> Iterator[list[tuple[Case, Item]]]:
        """The cases with their events, as many at a time as may be in memory at once."""
        wanted = {case.offset: case for case in cases}
        if not wanted:
            return
        batch: list[tuple[Case, Item]] = []
        with self._desk.reader(self._part.topic, self._part.number, min(wanted)) as reader:
            for message in reader.to_end(timeout_s=math.inf, silence_s=SILENCE_S):
                case = wanted.pop(message.offset() or 0, None)
                if case is not None:
                    batch.append((case, item_in(self._part, message)))
                if batch and (not wanted or len(batch) == _BATCH or sum(item.size for _, item in batch) > _BATCH_BYTES):
                    yield batch
                    batch = []
                if not wanted:
                    return
        for case in wanted.values():  # compaction came by in the meantime
            case.end(Ending.LEFT, "its event has just been removed from the topic: run the command again")
        if batch:
            yield batch

    def _replay(self, batch: list[tuple[Case, Item]]) -> None:
        for case, item in batch:
            if item.version > self._index.version:
                case.end(Ending.LEFT, f"the index does not follow version {item.version} of the table yet")
        left = [one for one in batch if one[0].ending is Ending.PLANNED]
        self._patiently("replay", partial(self._send_all, left))
        self._since.read_on()
        for case, _ in batch:
            if case.overtaken_by:
                case.end(Ending.OVERTAKEN)
        self._close([case for case, _ in batch if case.dropped])

    def _patiently(self, what: str, step: partial[None]) -> None:
        limit_s = self._desk.settings.service.start_timeout_s
        until_stopped(Stop(), what, enough=lambda elapsed_s: elapsed_s >= limit_s)(step)

    def _send_all(self, left: list[tuple[Case, Item]]) -> None:
        """Send until each has its end; what has is taken out. Raises `UnreachableError` to be called again."""
        while left:
            # Never on the strength of what was read before a wait: see `sink.lease`.
            self._since.read_on()
            made = [(one, lines) for one in left if not one[0].overtaken_by and (lines := self._lines(*one))]
            left[:], bodies = [one for one, _ in made], [lines for _, lines in made]
            for piece in cuts(list(map(len, bodies)), self._most_bytes, _BATCH):
                sent = left[piece]
                body = b"".join(bodies[piece])
                self._answered([case for case, _ in sent], send(self._desk.client, body, len(sent)), len(body))
                break
            left[:] = [one for one in left if one[0].ending is Ending.PLANNED]

    def _lines(self, case: Case, item: Item) -> bytes:
        """The lines of a request, nothing if the table's filter or transform fails again."""
        try:
            return self._actions.lines(item)
        except DocumentError as error:
            case.end(Ending.REFUSED, str(error))
            return b""

    def _answered(self, cases: Sequence[Case], reply: Reply, size: int) -> None:
        failed = reply.failed
        if failed and failed.outcome is Outcome.TOO_LARGE and len(cases) > 1:
            self._most_bytes = max(1, size // 2)
            return
        if failed and failed.outcome is Outcome.TOO_LARGE:
            failed = failed._replace(outcome=Outcome.POISON, reason="larger than Elasticsearch takes")
        answers = [failed] * len(cases) if failed else reply.answers or [_APPLIED] * len(cases)
        for case, answer in zip(cases, answers, strict=True):
            self._end(case, answer)
        waiting = next((answer for answer in answers if answer.outcome is Outcome.RETRY), None)
        if waiting is not None:
            raise UnreachableError(f"Elasticsearch: {waiting.status or 'no answer'} {waiting.type}".strip())

    def _end(self, case: Case, answer: Answer) -> None:
        if answer.outcome is Outcome.APPLIED:
            case.end(Ending.INDEXED)
        elif answer.outcome is Outcome.STALE:
            case.end(Ending.OVERTAKEN, "the index has it, or something newer")
        elif answer.outcome is Outcome.POISON:
            self._desk.indices.verify(self._part.alias)
            case.end(Ending.REFUSED, f"{answer.status} {answer.type}: {answer.reason}")
        elif answer.outcome is not Outcome.RETRY:
            raise fatal(answer, self._part)

    def _close(self, cases: Sequence[Case]) -> None:
        """Drop their letters; before that, what a write of ours may have brought back is deleted again.

        That write may also have been one of an earlier replay, which ended before it came here.
        """
        erased = [case for case in cases if case.erased_below]
        for start in range(0, len(erased), _BATCH):
            self._patiently("delete", partial(self._erase, erased[start : start + _BATCH]))
        for start in range(0, len(cases), _BATCH):
            self._desk.letterbox.drop({case.record: case.seq for case in cases[start : start + _BATCH]})

    def _erase(self, cases: Sequence[Case]) -> None:
        body = b"".join(self._actions.erasure(case.text, case.erased_below) for case in cases)
        reply = send(self._desk.client, body, len(cases))
        for answer in [reply.failed] if reply.failed else reply.answers:
            if answer.outcome is Outcome.RETRY:
                raise UnreachableError(f"Elasticsearch: {answer.status or 'no answer'} {answer.type}".strip())
            if answer.outcome not in (Outcome.APPLIED, Outcome.STALE):
                raise fatal(answer, self._part)
