"""Brings every item of a batch to its named end: applied, stale, or in the dead-letter topic."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from elasticsearch import Elasticsearch

from ops import crashpoint, metrics
from ops.elastic import CHECK_CERTIFICATE
from ops.settings import SinkSettings
from schemas.deadletter import DeadLetter
from schemas.errors import IndexMissingError, RefusedError, TidemarkError, UnknownOutcomeError, UnreachableError
from sink import hints
from sink.bound import Bound, cuts
from sink.bulk import CERTIFICATE, Answer, Reply, send
from sink.deadletter import letter_of
from sink.encode import encoded
from sink.fold import Folded, Run, Settled
from sink.lease import Lease
from sink.outcome import BLOCKED, Outcome
from sink.part import Item, Part
from sink.patience import until_done
from sink.share import Share, share_of
from sink.trouble import Fault, Troubles

_TOO_MANY = 429
_APPLIED = Answer(Outcome.APPLIED, 200)
_LEAST_BUSY_BYTES = 1 << 14  # where some items were taken, less at once mends nothing
_LEASE_WAIT_S = 2.0
_SILENT = "the group does not confirm that our partitions are ours"
_PATIENCE_S = 2.0  # how long an index may take nothing, before others do not wait for it any more
_BUSY_PATIENCE_S = 30.0  # the same of one that is only busy, as all others may be: more at once would make it worse


class Letters(Protocol):
    """Where refused changes go."""

    def write(self, letters: Sequence[DeadLetter], *, wanted: Callable[[], bool], ours: Callable[[], bool]) -> None:
        """Return when they are safe; raise a retryable error if they are not, or `wanted` turns false.

        `ours` is asked afterwards: if it is false, they may have come behind newer ones of somebody else.
        """


class Asides(Protocol):
    """Where changes wait whose index takes nothing."""

    def takes(self, alias: str, *, begin: bool) -> bool:
        """True if something of this alias may be put here; without `begin` only if something of it is here already."""

    def put(self, alias: str, shares: Sequence[Share], size_bytes: int) -> None:
        """Let them wait, behind what waits already; `size_bytes`: of a request that may get through."""

    def divert(self, batch: list[Share]) -> list[Share]:
        """What a lane may send itself of a batch; the rest is put here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What every lane works with. `verify` raises if an alias does not lead to our index any more."""

    client: Elasticsearch
    settings: SinkSettings
    lease: Lease
    troubles: Troubles
    fault: Fault
    letters: Letters
    verify: Callable[[str], None]


class Settler:
    """One lane's way with a batch: send, judge, wait, send what is left, without end."""

    def __init__(
        self, name: str, tools: Tools, bound: Bound, closing: threading.Event, asides: Asides | None = None
    ) -> None:
        self._name = name
        self._tools = tools
        self._bound = bound
        self._closing = closing
        self._asides = asides
        # Aliases of which items were refused for now, by an answer to all of them; true if they were only too busy.
        self._blocked: dict[str, bool] = {}
        self._moved: dict[str, float] = {}  # when something of an alias was done last, of what was left at first
        self._began = 0.0

    def settle(self, batch: Sequence[Share]) -> None:
        """Return when every record has its end, was set aside, or is not ours any more, or the sink is closing.

        Raises `RefusedError`, `IndexMissingError`, `IndexForeignError`, `UnknownOutcomeError`.
        """
        self._began = time.monotonic()
        self._moved.clear()
        runs = self._at_once(Folded(batch))
        if _left(runs):
            if self._make_way(runs):
                until_done(self._closing, lambda: self._attempt(runs))
            # What is not ours any more is no trouble of ours, and no later request may come to say so.
            if not _left(runs):
                self._tools.troubles.clear(self._name)

    # --- the usual case: one request after the other, each applied as a whole ---

    def _at_once(self, folded: Folded) -> list[Run]:
        """Send everything; the runs that are left, from the first request on of which not all was applied."""
        if folded.unmade:
            return folded.runs(slice(0, len(folded.sizes)))
        for piece in self._cuts(folded.sizes):
            rest = slice(piece.stop, len(folded.sizes))
            if not self._may_send(folded.parts(piece)):
                return folded.runs(piece) + folded.runs(rest)
            body = folded.body(piece)
            reply = self._send(body, piece.stop - piece.start)
            if reply.applied:
                self._bound.accepted(len(body), reply.took_s)
                for settled in folded.settled(piece):
                    settled.part.offsets.settled(settled.offsets)
                    count_applied(settled)
                continue
            runs = folded.runs(piece)
            self._guarded(partial(self._answered, runs, reply, len(body)))
            left = [run for run in runs if run.events]
            if left:
                return left + folded.runs(rest)
        self._tools.troubles.clear(self._name)
        return []

    # --- what did not get through at once ---

    def _attempt(self, runs: list[Run]) -> int:
        """Try all that is left; how much still is."""
        self._guarded(lambda: self._try(runs))
        return self._make_way(runs)

    def _make_way(self, runs: list[Run]) -> int:
        """Set aside what indices do not take, if that has lasted, or others have done so; how much is left."""
        blocked, self._blocked = self._blocked, {}
        for alias, busy in blocked.items():
            due = self._moved.get(alias, self._began) + _BUSY_PATIENCE_S if busy else self._began + _PATIENCE_S
            if self._asides is not None and self._asides.takes(alias, begin=time.monotonic() >= due):
                theirs = [run for run in runs if run.alias == alias]
                self._asides.put(alias, _shares(theirs), self._bound.bytes)
                runs[:] = [run for run in runs if run.alias != alias]
        return _left(runs)

    def _guarded(self, step: Callable[[], object]) -> None:
        """Do it; what may be done again later is told only."""
        try:
            step()
        except TidemarkError as error:
            if not error.retryable:
                raise
            self._tools.troubles.report(self._name, error.what)

    def _try(self, runs: list[Run]) -> None:
        runs[:] = [run for run in runs if run.events and run.owned]
        if not self._tools.lease.await_fresh(_LEASE_WAIT_S):
            self._tools.troubles.report(self._name, _SILENT)
            return
        waiting, bodies = encoded(runs)
        self._finish([run for run in runs if not run.left])
        for piece in self._cuts(list(map(len, bodies))):
            body, sent = b"".join(bodies[piece]), waiting[piece]
            if not self._may_send({run.current.part for run in sent}):
                return
            if not self._answered(sent, self._send(body, len(sent)), len(body)):
                return
        self._tools.troubles.clear(self._name)

    def _may_send(self, parts: Iterable[Part]) -> bool:
        """Asked before every request: others may have taken long, and much may have changed meanwhile."""
        if self._closing.is_set() or not self._tools.lease.fresh:
            return False
        return all(part.owned for part in parts)

    def _cuts(self, sizes: Sequence[int]) -> Iterator[slice]:
        return cuts(sizes, self._bound.bytes, self._tools.settings.max_batch_events)

    def _send(self, body: bytes, items: int) -> Reply:
        reply = send(self._tools.client, body, items, gzip=self._tools.settings.gzip)
        crashpoint.reached("after_bulk")
        return reply

    def _answered(self, runs: list[Run], reply: Reply, size: int) -> bool:
        """What an answer means for what was sent; False if the rest had better wait."""
        if reply.failed is not None:
            return self._failed(reply.failed, runs, size)
        if not reply.applied:
            return self._judge(runs, reply, size)
        return self._judge(runs, replace(reply, answers=[_APPLIED] * len(runs)), size)

    def _failed(self, answer: Answer, runs: list[Run], size: int) -> bool:
        if answer.outcome is Outcome.TOO_LARGE and len(runs) == 1:
            too_large = answer._replace(outcome=Outcome.POISON, type=answer.type or "content_too_long")
            return self._judge(runs, Reply(answers=[too_large]), size)
        if answer.outcome not in (Outcome.RETRY, Outcome.TOO_LARGE):
            self._stop_unless_passing(answer, runs[0].current.part)
        self._bound.shrink(size)
        self._tools.troubles.report(self._name, _short(answer))
        return False

    def _judge(self, runs: list[Run], reply: Reply, size: int) -> bool:
        judged = list(zip(runs, reply.answers, strict=True))
        count(judged)
        waiting = [answer for _, answer in judged if answer.outcome in (Outcome.RETRY, *_FATAL)]
        self._finish([run for run, answer in judged if answer.outcome in _DONE])
        for run, answer in judged:
            if answer.outcome in _FATAL:
                self._stop_unless_passing(answer, run.current.part)
        self._refuse([(run, answer) for run, answer in judged if answer.outcome is Outcome.POISON])
        if any(answer.status == _TOO_MANY for answer in waiting):
            self._bound.shrink(size, _LEAST_BUSY_BYTES)
        elif not waiting:
            self._bound.accepted(size, reply.took_s)
        self._note_blocked(judged)
        if waiting:
            self._tools.troubles.report(self._name, f"{len(waiting)} items: {_short(waiting[0])}")
        return not waiting

    def _note_blocked(self, judged: Sequence[tuple[Run, Answer]]) -> None:
        now = time.monotonic()
        self._moved.update((run.alias, now) for run, answer in judged if answer.outcome in _DONE)
        for run, answer in judged:
            if answer.outcome is Outcome.RETRY:
                busy = answer.status == _TOO_MANY and answer.type != BLOCKED
                self._blocked[run.alias] = busy and self._blocked.get(run.alias, True)

    def _stop_unless_passing(self, answer: Answer, part: Part) -> None:
        # A node that has just come up can say that an index is missing before it has read what indices there are.
        if answer.outcome is not Outcome.MISSING or answer.type == "index_closed_exception":
            raise fatal(answer, part)
        self._tools.verify(part.alias)

    def _refuse(self, poisoned: list[tuple[Run, Answer]]) -> None:
        # An alias that somebody turned away from our index refuses documents as well; they are not to blame then.
        for alias in {run.current.part.alias for run, _ in poisoned}:
            self._tools.verify(alias)
        for run, answer in poisoned:
            run.refuse(letter_of(run.current, answer))
        self._finish([run for run, _ in poisoned if not run.left])

    def _write(self, refused: Sequence[Run]) -> None:
        """The newest letter of a key is written last, the topic being compacted, and by nobody but the owner."""
        letters = [letter for run in refused for letter in reversed(run.letters)]

        def ours() -> bool:
            # A commit's answer that is late is no other owner.
            return self._tools.lease.await_fresh(_LEASE_WAIT_S) and all(run.owned for run in refused)

        if not self._tools.lease.fresh:
            raise UnreachableError(_SILENT, where=refused[0].events[0].part.where)
        self._tools.letters.write(letters, wanted=lambda: not self._closing.is_set(), ours=ours)

    def _finish(self, runs: Sequence[Run]) -> None:
        """These keys are done, but for those whose letters somebody else writes by now."""
        runs = [run for run in runs if run.owned or not run.letters]
        if refused := [run for run in runs if run.letters]:
            self._write(refused)
        settled: dict[Part, list[int]] = {}
        for run in runs:
            for item in run.events:
                settled.setdefault(item.part, []).append(item.offset)
            run.events, run.left = [], []
        for part, offsets in settled.items():
            part.offsets.settled(offsets)


_DONE = (Outcome.APPLIED, Outcome.STALE)
_FATAL = (Outcome.REFUSED, Outcome.MISSING, Outcome.UNKNOWN, Outcome.TOO_LARGE)


def _left(runs: Iterable[Run]) -> int:
    """Events that may still be sent, and keys that are not finished; those that are not ours any more do not count."""
    return sum(1 + len(run.left) for run in runs if run.events and run.owned)


def _shares(runs: Iterable[Run]) -> list[Share]:
    """What is open of these, as it came."""
    parts: dict[Part, list[Item]] = {}
    for run in runs:
        if run.events and run.owned:
            parts.setdefault(run.events[0].part, []).extend(run.events)
    return [share_of(items) for items in parts.values()]


def count(judged: Sequence[tuple[Run, Answer]]) -> None:
    """Outcomes by index, and what was folded away; the commit time of the newest row that is in the index."""
    found: Counter[tuple[str, str]] = Counter()
    newest_ms = 0
    for run, answer in judged:
        alias = run.current.part.alias
        found[alias, answer.outcome.value] += 1
        if answer.outcome in _DONE:
            found[alias, "folded"] += len(run.left) - 1
            newest_ms = max(newest_ms, run.current.ts_ms)
    for (alias, outcome), number in found.items():
        metrics.SINK_ITEMS.labels(alias, outcome).inc(number)
    if newest_ms:
        metrics.SINK_LAST_COMMIT.set(newest_ms / 1000)


def count_applied(settled: Settled) -> None:
    """The same where everything was applied."""
    alias = settled.part.alias
    metrics.SINK_ITEMS.labels(alias, Outcome.APPLIED.value).inc(settled.sent)
    metrics.SINK_ITEMS.labels(alias, "folded").inc(settled.overtaken)
    if settled.newest_ms:
        metrics.SINK_LAST_COMMIT.set(settled.newest_ms / 1000)


def _short(answer: Answer) -> str:
    """Status and type; never the reason, which quotes documents."""
    return f"{answer.status or 'no answer'} {answer.type}".strip()


def fatal(answer: Answer, part: Part) -> TidemarkError:
    """The error that ends the service for an answer that allows no going on."""
    where = f"{part.alias}, {part.where}"
    if answer.outcome is Outcome.REFUSED:
        return RefusedError(
            f"Elasticsearch refuses to write ({_short(answer)})",
            where=where,
            hint=CHECK_CERTIFICATE
            if answer.type == CERTIFICATE
            else "Check [elasticsearch] api_key_file or user; `tidemark doctor` lists the privileges.",
        )
    if answer.outcome is Outcome.MISSING:
        return IndexMissingError(
            f"the index is gone or closed ({_short(answer)})",
            where=where,
            hint=f"If it was only closed, open it. Else {hints.rebuild(part.table)}",
        )
    return UnknownOutcomeError(
        f"Elasticsearch answered in a way that has no agreed meaning ({_short(answer)})",
        where=where,
        hint="Nothing past this change was committed. Look at Elasticsearch's log, and report this answer.",
    )
