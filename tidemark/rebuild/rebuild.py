"""Builds a table's index anew from its topic, beside the one that is searched, and lets it take that one's place.

Nothing is missing at any moment, whatever is killed: the sink's writes to the old index are held for the second in
which the new one reaches the topic's end and the alias moves; then it goes on with the same writes, to the new one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import TypeVar

from elasticsearch import Elasticsearch

from auditor.audit import audit
from auditor.run_context import Context, StoppedError
from ops import crashpoint
from ops.log import logger
from ops.retry import until_stopped
from ops.settings import Settings
from ops.stop import Stop
from schemas.errors import (
    InconclusiveError,
    LockedError,
    OffsetsLostError,
    RebuildConfigError,
    RebuildFindingsError,
    UnreachableError,
    UsageError,
)
from schemas.report import AuditReport, AuditStatus, TableReport
from schemas.table import Table
from schemas.watermark import Watermark
from sink.index import Indices
from sink.succession import Heir, Phase, Replicas, Succession
from tidemark.rebuild import plan
from tidemark.rebuild.ends import Ends, behind, done
from tidemark.rebuild.feed import Feed
from tidemark.rebuild.group import Groups
from tidemark.rebuild.lock import await_alone, locked
from tidemark.rebuild.outcome import Outcome
from tidemark.rebuild.progress import Display
from tidemark.rebuild.refusals import Refusals

_log = logger(__name__)
_Found = TypeVar("_Found")

_POLL_S = 0.1
_STILL_S = 1.0
_CAUGHT_UP_S = 5.0  # a round to the topic's end that takes no longer is followed by no other
_HELD_S = 60.0  # the longest that the sink may be kept from writing
_PATIENCE_S = 60.0
_REPLICAS_S = 60.0


class Rebuild:
    """One table; `outcome` is what has been done so far. After `stop` the next run goes on where this one was."""

    def __init__(self, settings: Settings, table: str, client: Elasticsearch, stop: Stop, display: Display) -> None:
        self._settings = settings
        self._stop = stop
        self._display = display
        self._table: Table = plan.newest(settings, table)
        where = ", ".join(settings.elasticsearch.urls)
        indices = Indices(client, settings.sink, settings.source.name, where)
        alias = indices.alias(self._table)
        self._beside = plan.beside(settings, self._table, alias)
        self._next = Indices(client, self._beside.sink, settings.source.name, where)
        self._indices = indices
        self._steps = Succession(client, indices, self._next, where)
        self._refusals = Refusals(settings, self._table.topic, alias)
        self.outcome = Outcome(table=self._table.full_name, alias=alias)

    # --- the whole ---

    def run(self, *, restart: bool = False, drop_old: bool = False, accept_dead_letters: bool = False) -> Outcome:
        """Build, audit, swap. An index that newly refuses rows is swapped in only with `accept_dead_letters`.

        Raises `KeyboardInterrupt` if it is asked to stop, and a `TidemarkError`.
        """
        with self._alone():
            heir = self._asked("looking for what is there", lambda: self._steps.heir(self._table))
            if heir is not None and self._has_taken_over(heir):
                self._display.say(f"{heir.name} has taken over before; finishing what was left")
                if not restart:
                    self.outcome.resumed = self.outcome.swapped = True
                    self._passed(heir)
                    self._follow(self._indices)
                    return self._finish(heir, drop_old=drop_old)
                self._finish(heir, drop_old=False)
                heir = None
            if heir is not None and restart:
                self._discard(heir)
                heir = None
            heir = self._resumed(heir) if heir is not None else self._begun()
            heir = self._built(heir, accept_dead_letters=accept_dead_letters)
            self._follow(self._indices)
            return self._finish(heir, drop_old=drop_old)

    def abort(self) -> Outcome:
        """Throw away what was built, and let the sink write again if it was held."""
        with self._alone():
            heir = self._asked("looking for what is there", lambda: self._steps.heir(self._table))
            if heir is None or self._has_taken_over(heir):
                raise UsageError(f"no rebuild of {self._table.full_name} is to be ended")
            self._discard(heir)
        self.outcome.index = heir.name
        return self.outcome

    def prune(self) -> list[str]:
        """Delete the indices that rebuilds have replaced; their names."""
        with self._alone():
            found = self._asked("looking for what is there", lambda: self._steps.replaced(self._table))
            for name in found:
                self._asked(f"deleting {name}", partial(self._steps.drop, name))
        return found

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with locked(self._settings.source.name, self._table.full_name), ExitStack() as stack:
            self._ends = stack.enter_context(Ends(Context(settings=self._settings, stop=self._stop), self._table.topic))
            self._groups = Groups(self._settings, self._table.topic, sorted(self._now()))
            yield

    # --- what is there ---

    def _has_taken_over(self, heir: Heir) -> bool:
        present = self._asked("looking at the alias", lambda: self._steps.present(self._table))
        return present is not None and present.name == heir.name

    def _begun(self) -> Heir:
        config = plan.config_of(self._settings, self._table)
        name = self._asked("looking for a name", lambda: self._steps.next_name(self._table))
        group = plan.group_of(self._settings, name)
        # What is left of an index of that name, which somebody has deleted, would make this one begin in the middle.
        self._asked("deleting its group", lambda: self._groups.delete(group))
        self._asked("dropping its dead letters", self._refusals.forget)
        self._refuse_lost(group)
        heir = self._asked("making the index", lambda: self._steps.begin(self._table, name, config))
        self.outcome.index = heir.name
        self._display.say(f"building {heir.name} for {heir.of} from {self._table.topic}")
        return heir

    def _resumed(self, heir: Heir) -> Heir:
        await_alone(self._stop, self._groups, self._group(heir), self._table.full_name)
        heir = self._let_write(heir)  # the one before may have been killed while it held the sink
        if heir.config != plan.config_of(self._settings, self._table):
            raise RebuildConfigError(
                f"the configuration or transform of {self._table.full_name} has changed since {heir.name} was begun",
                where=f'[sink.tables."{self._table.full_name}"]',
                hint="Add --restart to build it anew with the present one, or --abort to throw it away.",
            )
        self._refuse_lost(self._group(heir))
        self.outcome.index, self.outcome.resumed = heir.name, True
        self._display.say(f"going on with {heir.name}, which a rebuild before this one has begun")
        return heir

    def _discard(self, heir: Heir) -> None:
        await_alone(self._stop, self._groups, self._group(heir), self._table.full_name)
        self._let_write(heir)
        # The index goes last: as long as it is there, the same command throws away the rest again.
        self._asked("deleting its group", lambda: self._groups.delete(self._group(heir)))
        if self._has_taken_over(heir):
            raise LockedError(f"{heir.name} has taken over meanwhile: another rebuild was running", where=heir.of)
        self._asked("dropping its dead letters", self._refusals.forget)
        self._asked(f"deleting {heir.name}", lambda: self._steps.drop(heir.name))
        self._display.say(f"{heir.name}, built in part, is deleted")

    def _refuse_lost(self, group: str) -> None:
        """Rows whose last event is gone would be missing in the new index, and in what its audit reads."""
        begun = self._asked("looking at the group", lambda: self._groups.begun(group))
        lost = {number: end.low for number, end in self._now().items() if end.low and number not in begun}
        if lost:
            places = ", ".join(f"{low} in partition {number}" for number, low in lost.items())
            raise OffsetsLostError(
                f"the topic has lost its first records, by retention or by hand: it begins at offset {places}",
                where=self._table.topic,
                hint="Rows whose last change is gone would not be in the new index. Keep the one that is there, or "
                "publish every row to a new topic. With cleanup.policy=compact nothing is lost.",
            )

    def _group(self, heir: Heir) -> str:
        return plan.group_of(self._settings, heir.name)

    # --- build ---

    def _built(self, heir: Heir, *, accept_dead_letters: bool) -> Heir:
        settings = plan.in_group(self._beside, self._group(heir))
        with self._fed(settings) as feed:
            self._fill(feed)
            crashpoint.reached("rebuild_filled")
            self._finish_loading(heir)
            self._prove(settings, accept_dead_letters=accept_dead_letters)
            self._display.stage("passing the topic's end")
            heir = self._take_over(heir, feed)
            self._pass(feed)
            self._display.quiet()
        return heir

    @contextmanager
    def _fed(self, settings: Settings) -> Iterator[Feed]:
        feed = Feed(settings, self._table)
        feed.start()
        try:
            yield feed
        finally:
            feed.close()

    def _passed(self, heir: Heir) -> None:
        """`_pass`, if the run that moved the alias has not come that far."""
        if self._asked("looking at the alias", lambda: self._steps.is_attached(heir)):
            await_alone(self._stop, self._groups, self._group(heir), self._table.full_name)
            self._display.stage("passing the topic's end")
            with self._fed(plan.in_group(self._beside, self._group(heir))) as feed:
                self._pass(feed)
            self._display.quiet()

    def _pass(self, feed: Feed) -> None:
        """Bring the new index past all that the sink had read when the alias moved.

        Of that, what needed no write in the old index was not held: a barrier that found nothing there. In the new
        one it may find something.
        """
        self._await(feed, self._now())

    def _fill(self, feed: Feed) -> None:
        """Bring it to the topic's end, which moves meanwhile."""
        began = time.monotonic()
        while True:
            round_began, ends = time.monotonic(), self._now()
            self.outcome.records = sum(end.high - end.low for end in ends.values())
            self._display.stage("filling")
            self._await(feed, ends)
            if time.monotonic() - round_began < _CAUGHT_UP_S:
                break
        self.outcome.fill_s = time.monotonic() - began
        rate = self.outcome.records / max(self.outcome.fill_s, 0.001)
        self._display.quiet()
        self._display.say(f"filled: {self.outcome.records:,} records in {self.outcome.fill_s:.1f} s, {rate:,.0f}/s")

    def _await(self, feed: Feed, ends: dict[int, Watermark], deadline: float = float("inf")) -> None:
        """Wait until everything below these ends is in the index. Raises `UnreachableError` at the deadline."""
        last, moved = feed.settled, time.monotonic()
        while late := behind(feed.settled, ends):
            feed.check()
            self._check_stop()
            self._display.count(*done(feed.settled, ends), feed.waits_for)
            now = time.monotonic()
            if now > deadline:
                raise self._too_slow(late, ends, feed.waits_for)
            if feed.settled != last:
                last, moved = feed.settled, now
            elif now - moved > _STILL_S and not feed.waits_for:
                moved = now
                if self._nothing_left(late, ends):
                    return
            self._stop.wait(_POLL_S)
        self._display.count(*done(feed.settled, ends))

    def _too_slow(self, late: dict[int, int], ends: dict[int, Watermark], waits_for: str) -> UnreachableError:
        places = ", ".join(f"{offset} of {ends[number].high} in partition {number}" for number, offset in late.items())
        return UnreachableError(
            f"the new index does not reach the topic's end in {_HELD_S:.0f} s: it is at {places}",
            where=self._table.topic,
            hint=f"It waits for {waits_for}." if waits_for else "Nothing was swapped; run the same command again.",
        )

    def _nothing_left(self, late: dict[int, int], ends: dict[int, Watermark]) -> bool:
        def look() -> bool:
            return all(low >= 0 and self._ends.is_empty(number, low, ends[number].high) for number, low in late.items())

        return self._asked("looking for what is left", look)

    def _now(self) -> dict[int, Watermark]:
        return self._asked("asking for the topic's end", self._ends.now)

    def _finish_loading(self, heir: Heir) -> None:
        replicas = self._asked(
            "restoring the settings", lambda: self._steps.finish_loading(heir, self._table, _REPLICAS_S)
        )
        if replicas is not Replicas.THERE:
            self._display.say(f"{heir.name}: {replicas}; going on")

    @property
    def _deep(self) -> bool:
        """What a transform makes shows in documents only, and another run of it may have made the first of them."""
        special = self._settings.sink.tables.get(self._table.full_name)
        return special is not None and bool(special.transform)

    def _prove(self, settings: Settings, *, accept_dead_letters: bool) -> None:
        """Raises `RebuildFindingsError`, or `InconclusiveError`, if the new index is not as the topic says."""
        self._display.stage("auditing the new index")
        try:
            # Beside it, `audit run` may be at the same table.
            beat = self._display.pass_time
            context = Context(settings=settings, stop=self._stop, resumable=False, deep=self._deep, beat=beat)
            report = audit(context, [_literal(self._table.full_name)])
        except StoppedError:
            raise KeyboardInterrupt from None
        self._display.quiet()
        self.outcome.audit = report
        (table,) = report.tables
        if table.status is AuditStatus.CLEAN:
            if not accept_dead_letters:
                self._refuse_refusals(table)
            self._display.say(f"clean: {table.keys:,} documents are as the topic says")
            return
        again = f"Nothing was swapped. `tidemark sink rebuild {table.table}` goes on and audits again"
        if table.status is AuditStatus.INCONCLUSIVE:
            raise InconclusiveError(
                f"the new index could not be proven: {table.reason}", where=table.index, hint=f"{again}."
            )
        raise RebuildFindingsError(
            f"the new index is not as the topic says: {_counted(report)}",
            where=table.index,
            hint=f"{again}; with --restart it builds the index anew, with --abort it throws it away.",
        )

    def _refuse_refusals(self, table: TableReport) -> None:
        """Raises `RebuildFindingsError` for rows that the new index refuses, and that searched now does not."""
        refused = self._asked("reading dead letters", lambda: self._refusals.new(table))
        if refused:
            raise RebuildFindingsError(
                f"{refused:,} rows do not fit the new index: {self._refusals.why()}",
                where=table.index,
                hint="Nothing was swapped. Mend the configuration or the transform, and add --restart; --abort throws "
                "away what was built. With --accept-dead-letters it takes over without these rows, as dead letters.",
            )

    # --- swap ---

    def _take_over(self, heir: Heir, feed: Feed) -> Heir:
        present = self._asked("looking at the alias", lambda: self._steps.present(self._table))
        old = present.name if present else ""
        held_before = bool(old) and self._asked("looking at blocks", lambda: self._steps.is_blocked(old))
        blocked = heir.blocked or (bool(old) and not held_before)
        heir = replace(heir, phase=Phase.TAKING_OVER, old=old, blocked=blocked)
        self._asked("taking note", lambda: self._steps.note(heir))
        began = time.monotonic()
        try:
            if old:
                self._asked(f"holding writes to {old}", lambda: self._steps.block(old))
            crashpoint.reached("rebuild_held")
            # What the sink has written to the old index it had read, so it lies below the ends as they are now.
            self._await(feed, self._now(), began + _HELD_S)
            feed.check()
            crashpoint.reached("rebuild_level")
            self._follow(self._next)
            self._asked("moving the alias", lambda: self._steps.take_over(heir))
        except BaseException:
            self._let_write(heir)
            raise
        crashpoint.reached("rebuild_swapped")
        self.outcome.swapped, self.outcome.held_s = True, time.monotonic() - began
        return heir

    def _let_write(self, heir: Heir) -> Heir:
        """Undo what holds the sink, unless the new index has taken over; what is noted then."""
        if not heir.blocked or self._has_taken_over(heir):
            return heir
        self._asked(f"letting the sink write to {heir.old} again", lambda: self._steps.unblock(heir.old))
        freed = replace(heir, phase=Phase.FILLING, blocked=False)
        self._asked("taking note", lambda: self._steps.note(freed))
        return freed

    def _follow(self, indices: Indices) -> None:
        """The sink brings the mapping of the index that it knows up to date: the new one has to be no older."""
        self._table = plan.newest(self._settings, self._table.full_name)
        self._asked("following the table", lambda: self._steps.follow(indices, self._table))

    def _finish(self, heir: Heir, *, drop_old: bool) -> Outcome:
        """What is left after the swap; all of it can be done again."""
        self._asked("taking the other alias away", lambda: self._steps.detach(heir))
        group, outcome = self._group(heir), self.outcome
        if heir.phase is not Phase.HEALED:
            passed = self._asked("looking at the group", lambda: self._groups.passed(group))
            topic_id = self._asked("looking at the topic", self._groups.topic_id)
            self._asked("dropping dead letters that it has healed", lambda: self._refusals.heal(topic_id, passed))
            # What is adopted looks like them.
            healed = replace(heir, phase=Phase.HEALED)
            self._asked("taking note", lambda: self._steps.note(healed))
        self._asked("taking over dead letters", self._refusals.adopt)
        outcome.index, outcome.old = heir.name, heir.old
        outcome.offsets_set = self._asked(
            "setting the sink's offsets", lambda: self._groups.hand_over(group, self._settings.sink_group)
        )
        if heir.old:
            step = self._steps.drop if drop_old else self._steps.retire
            self._asked(f"putting {heir.old} away", lambda: step(heir.old))
            outcome.old_dropped = drop_old
        self._asked("deleting the rebuild's group", lambda: self._groups.delete(group))
        self._asked("taking note", lambda: self._steps.settle(heir))
        _log.info("an index was rebuilt", action="rebuilt", table=outcome.table, index=heir.name, old=heir.old)
        return outcome

    # --- asking ---

    def _asked(self, what: str, call: Callable[[], _Found]) -> _Found:
        """Do it, again for a while where that may help."""
        found: _Found = until_stopped(Stop(), what, enough=lambda elapsed_s: elapsed_s > _PATIENCE_S)(call)
        return found

    def _check_stop(self) -> None:
        if self._stop.requested:
            raise KeyboardInterrupt


def _literal(name: str) -> str:
    """A pattern that matches this name only."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _counted(report: AuditReport) -> str:
    return ", ".join(f"{count} {kind.value}" for kind, count in report.tables[0].counts.items() if count)
