"""Declarations of tables with protected columns: what is kept of them, and what a changed policy makes of them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

from cdc.definition import HASHED, MASKED, ColumnFacts, Definition
from cdc.source.protection import Policy, Protections, TableProtection
from schemas.table import Table

_LABEL = re.compile(r"'((?:[^'\\]|''|\\.)*)'")
_MARK_DIGITS = 16


def declared_as(protections: Protections, name: str, declared: Definition) -> Definition:
    """A table's declaration without what its policies hide. `name`: `database.table`."""
    protection = protections.of(*name.split(".", 1))
    if protection is None:
        return declared
    excluded = [column for column in declared.columns if protection.of(column.name) is Policy.EXCLUDE]
    return replace(
        declared,
        columns=tuple(_column(column, protection) for column in declared.columns if column not in excluded),
        hidden=tuple(sorted(mark(name, column.name) for column in excluded)),
    )


def mark(name: str, column: str) -> str:
    """What is remembered of an excluded column: enough to know it again."""
    return hashlib.sha256(f"{name}.{column}".encode()).hexdigest()[:_MARK_DIGITS]


def _column(column: ColumnFacts, protection: TableProtection) -> ColumnFacts:
    policy = protection.of(column.name)
    if policy is Policy.MASK:
        return replace(column, type=MASKED, charset="")
    if policy is Policy.HASH:
        return replace(column, type=HASHED + _LABEL.sub(lambda found: f"'{protection.label(found[1])}'", column.type))
    return column


def after_policy_change(name: str, judged: Definition, now: Definition) -> tuple[Definition, tuple[str, ...]]:
    """What was judged as the policies of now see it, and the columns whose policy is another.

    Only these are taken from `now`: what a statement did that has not been read yet is still to be judged.
    """
    declared = {column.name: column for column in now.columns}
    excluded = [column.name for column in judged.columns if mark(name, column.name) in now.hidden]
    kept = [column for column in judged.columns if column.name not in excluded]
    switched = [c.name for c in kept if c.name in declared and _kind(declared[c.name]) != _kind(c)]
    before = {column.name for column in judged.columns}
    shown = [c for c in now.columns if c.name not in before and mark(name, c.name) in judged.hidden]
    changed = (*excluded, *switched, *(column.name for column in shown))
    if not changed and judged.hidden == now.hidden:
        return judged, ()
    columns = [declared[column.name] if column.name in switched else column for column in kept]
    accepted = dict.fromkeys([*judged.accepted, *(f"+{column.name}" for column in shown)])
    adapted = replace(judged, columns=(*columns, *shown), hidden=now.hidden, accepted=tuple(accepted))
    return adapted, changed


def _kind(column: ColumnFacts) -> str:
    return next((kind for kind in (MASKED, HASHED) if column.type.startswith(kind)), "")


def comparable(name: str, before: Table, after: Table, judged: Definition) -> tuple[Table, set[str]]:
    """The layout before without what is excluded by now, and the columns that have the same policy in both."""
    shown = tuple(column for column in before.columns if mark(name, column.name) not in judged.hidden)
    was = {column.name: column.protection for column in shown}
    same = {column.name for column in after.columns if was.get(column.name, column.protection) == column.protection}
    return replace(before, columns=shown), same
