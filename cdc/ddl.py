"""What statements did to captured tables, judged before the position moves past them.

There is no snapshot yet, so a statement that changes rows without row events stops cdc in front of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from cdc.checks import Inspected
from cdc.definition import Change, Definition, as_logged, changes
from cdc.definitions import Note, definition_note
from cdc.protected_definition import after_policy_change, comparable
from cdc.route import TableRouter
from cdc.source.seam import Batch, Ddl, DdlKind
from ops import metrics
from ops.log import logger
from ops.settings import Settings
from schemas.errors import DdlError
from schemas.table import Table

_log = logger(__name__)

_REFUSED = "refused"  # the id of the change that makes a table one that cannot be captured

Look = Callable[[], tuple[Inspected, Mapping[str, Definition]]]


class DdlPolicy:
    """Compares declarations of captured tables.

    `known`: the latest layout of each table. `stored`: declarations as judged last. `look`: what the server says now.
    """

    def __init__(
        self,
        settings: Settings,
        router: TableRouter,
        *,
        known: Mapping[str, Table],
        stored: Mapping[str, Definition],
        look: Look,
    ) -> None:
        self._stop = settings.cdc.on_ddl == "stop"
        self._router = router
        self._layouts = dict(known)
        self._judged = dict(stored)
        self._look = look
        self._notes: dict[str, Definition | None] = {}
        inspected, now = look()
        self._check_refused(inspected)
        self._router.refuse(inspected.refused)
        self._refused = set(inspected.refused)
        self._take_policies(now)
        self._take_new(inspected, now)

    def _take_policies(self, now: Mapping[str, Definition]) -> None:
        """A policy that changed since a table was judged last is no change of the table."""
        for name in now.keys() & self._judged.keys():
            layout = self._layouts.get(name)
            version = layout.version if layout else 0
            adapted, changed = after_policy_change(name, self._judged[name], now[name], version)
            if adapted is not self._judged[name]:
                self._keep(name, adapted)
            if changed:
                _log.warning(
                    f"{name} is protected otherwise than before: what was published already stays as it was",
                    action="protection_changed",
                    table=name,
                    columns=", ".join(changed),
                )

    def _check_refused(self, inspected: Inspected) -> None:
        """A table that was captured: what comes next in the binlog may be rows of the time when it still could be."""
        for name in sorted(inspected.refused.keys() & self._judged.keys()):
            if _REFUSED not in self._judged[name].accepted:
                self._object_refused(name, inspected)

    def judge(self, batch: Batch) -> Sequence[Note]:
        """Records for `__schema`, to be committed with the batch. Raises `DdlError`: then the batch must not be."""
        self._layouts_of(batch)
        if batch.ddl is not None:
            self._statement(batch.ddl)
        notes = [definition_note(name, definition) for name, definition in self._notes.items()]
        self._notes.clear()
        return notes

    # Layouts: what the rows in the binlog look like, in the order in which that changed

    def _layouts_of(self, batch: Batch) -> None:
        for table in batch.tables:
            before, judged = self._layouts.get(table.full_name), self._judged.get(table.full_name)
            self._layouts[table.full_name] = table
            if before is None or judged is None or before.version <= judged.since:
                continue
            shown, same = comparable(table.full_name, before, table, judged)
            still = {column.name for column in judged.columns} & same
            found = changes(as_logged(shown, judged), as_logged(table, judged), only=still)
            new = [change for change in found if change.id not in judged.accepted]
            if new:
                place = f"{batch.position.file}:{batch.position.pos}"
                self._object(table.full_name, new, place)

    # Statements: what the tables are declared as now

    def _statement(self, ddl: Ddl) -> None:
        if ddl.kind is DdlKind.DROPPED:
            self._forget(ddl)
        if ddl.kind in (DdlKind.DROPPED, DdlKind.EMPTIED):
            return
        inspected, now = self._look()
        self._refuse(inspected, ddl)
        for name, definition in now.items():
            judged = self._judged.get(name)
            if judged is not None:
                self._compare(name, judged, definition, ddl)
        self._moved_rows(ddl)
        self._take_new(inspected, now)

    def _compare(self, name: str, judged: Definition, now: Definition, ddl: Ddl) -> None:
        found = changes(judged, now)
        if found:
            self._object(name, found, _place(ddl), ddl.statement)
        kept = self._judged[name]
        declared = replace(
            kept, columns=now.columns, primary_key=now.primary_key, hidden=now.hidden, hash_key=now.hash_key
        )
        if declared != kept:
            self._keep(name, declared)

    def _refuse(self, inspected: Inspected, ddl: Ddl) -> None:
        """A table that can be captured no longer has documents that nobody would mend."""
        for name in sorted(inspected.refused.keys() & self._judged.keys()):
            if self._router.captures(*name.split(".", 1)):
                self._object_refused(name, inspected, ddl)
        for name in sorted(inspected.refused.keys() - self._refused):
            reason, remedy = inspected.refused[name]
            _log.warning(f"table {name} is not captured: it {reason}", action="table_refused", table=name, hint=remedy)
        self._refused = set(inspected.refused)
        self._router.refuse(inspected.refused)

    def _object_refused(self, name: str, inspected: Inspected, ddl: Ddl | None = None) -> None:
        reason, remedy = inspected.refused[name]
        change = Change(_REFUSED, f"it {reason} now")
        place, statement = (_place(ddl), ddl.statement) if ddl else ("found at the start", "")
        hint = (
            f"{remedy}\nThen start again, and nothing is lost. To go on without the table, start once with "
            "TIDEMARK_CDC__ON_DDL=ignore,\nand take that away again: none of its changes after the stored position are "
            "captured, and its documents\nstay as they are, until it can be captured again."
        )
        self._object(name, [change], place, statement, hint)

    def _moved_rows(self, ddl: Ddl) -> None:
        for name in _concerned(ddl):
            if name in self._judged and _REFUSED in self._judged[name].accepted and name in self._refused:
                continue  # what becomes of its documents was accepted with that
            if name in self._judged or (ddl.kind is DdlKind.REPLACED and self._router.captures(*name.split(".", 1))):
                what = "its rows moved without row events"
                self._object(name, [Change("moved", what)], _place(ddl), ddl.statement)

    def _forget(self, ddl: Ddl) -> None:
        for name in list(self._judged):
            if name in ddl.tables or name.split(".", 1)[0] in ddl.tables:
                del self._judged[name]
                self._notes[name] = None

    def _take_new(self, inspected: Inspected, now: Mapping[str, Definition]) -> None:
        for name in inspected.captured:
            if name in now and name not in self._judged:
                layout = self._layouts.get(name)
                self._keep(name, replace(now[name], since=layout.version if layout else 0))
            self._readmit(name)

    def _readmit(self, name: str) -> None:
        """To have been refused was accepted once, not for good."""
        judged = self._judged.get(name)
        if judged is not None and _REFUSED in judged.accepted:
            self._keep(name, replace(judged, accepted=tuple(id_ for id_ in judged.accepted if id_ != _REFUSED)))
            _log.warning(
                f"table {name} is captured again: rows that changed in the meantime are not, until they change again",
                action="table_readmitted",
                table=name,
            )

    def _keep(self, name: str, definition: Definition) -> None:
        self._judged[name] = self._notes[name] = definition

    def _object(self, name: str, found: Sequence[Change], place: str, statement: str = "", hint: str = "") -> None:
        what = "; ".join(change.what for change in found)
        if self._stop:
            raise _error(name, what, place, statement, hint)
        metrics.CDC_DDL_IGNORED.labels(name).inc()
        _log.warning(
            f"{name} changed in a way that its documents do not show: {what}",
            action="ddl_ignored",
            table=name,
            statement=statement,
            place=place,
        )
        judged = self._judged.get(name)
        if judged is not None:
            accepted = dict.fromkeys([*judged.accepted, *(change.id for change in found)])
            self._keep(name, replace(judged, accepted=tuple(accepted)))


def _concerned(ddl: Ddl) -> tuple[str, ...]:
    """Tables whose rows a statement may have moved: all of a REPLACED one, those that a RENAME took away."""
    return ddl.tables if ddl.kind is DdlKind.REPLACED else ddl.moved


def _place(ddl: Ddl) -> str:
    return f"{ddl.file}:{ddl.pos}" + (f", transaction {ddl.gtid}" if ddl.gtid else "")


def _error(name: str, what: str, place: str, statement: str, hint: str) -> DdlError:
    said = f" by: {statement}" if statement else ""
    return DdlError(
        f"table {name} was changed{said}: {what}. Documents that exist already do not show it, and no row events will",
        where=place,
        hint=hint
        or "The position stays in front of it. To go on, start once with TIDEMARK_CDC__ON_DDL=ignore, and take that\n"
        f"away again: the change of {name} is remembered as accepted. Events from then on are right;\n"
        "documents of rows that do not change become right when their rows are written again.",
    )
