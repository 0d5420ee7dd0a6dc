"""Declarations of tables with protected columns: what is kept of them, and what a changed policy makes of them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

from cdc.definition import HASHED, MASKED, ColumnFacts, Definition
from cdc.source.protection import Policy, Protections, TableProtection
from schemas.table import Protection, Table

_LABEL = re.compile(r"'((?:[^'\\]|''|\\.)*)'")
_MARK_DIGITS = 16


def declared_as(protections: Protections, name: str, declared: Definition) -> Definition:
    """A table's declaration without what its policies hide. `name`: `database.table`."""
    protection = protections.of(*name.split(".", 1))
    if protection is None:
        return declared
    excluded = [column for column in declared.columns if protection.of(column.name) is Policy.EXCLUDE]
    hashes = any(protection.of(column.name) is Policy.HASH for column in declared.columns)
    return replace(
        declared,
        hash_key=protection.key.fingerprint if hashes and protection.key else "",
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


def after_policy_change(
    name: str, judged: Definition, now: Definition, version: int = 0
) -> tuple[Definition, tuple[str, ...]]:
    """What was judged as the policies of now see it, and the columns whose policy, or the key of it, is another.

    Only these are taken from `now`: what a statement did that has not been read yet is still to be judged.
    `version`: of the newest layout.
    """
    declared = {column.name: column for column in now.columns}
    excluded = [column.name for column in judged.columns if mark(name, column.name) in now.hidden]
    kept = [column for column in judged.columns if column.name not in excluded]
    both = [column for column in kept if column.name in declared]
    switched = [c.name for c in both if _kind(declared[c.name]) != _kind(c)]
    rekeyed = [c.name for c in both if c.name not in switched and _kind(c) == HASHED] if _rekeyed(judged, now) else []
    before = {column.name for column in judged.columns}
    shown = [c for c in now.columns if c.name not in before and mark(name, c.name) in judged.hidden]
    changed = (*excluded, *switched, *rekeyed, *(column.name for column in shown))
    if not changed and (judged.hidden, judged.hash_key) == (now.hidden, now.hash_key):
        return judged, ()
    taken = {*switched, *(name for name in rekeyed if _labelled(declared[name]))}
    columns = [declared[column.name] if column.name in taken else column for column in kept]
    accepted = dict.fromkeys([*judged.accepted, *(f"+{column.name}" for column in shown)])
    adapted = replace(
        judged,
        columns=(*columns, *shown),
        hidden=now.hidden,
        accepted=tuple(accepted),
        hash_key=now.hash_key,
        rekeyed=version if now.hash_key not in ("", judged.hash_key) else judged.rekeyed,
    )
    return adapted, changed


def _rekeyed(judged: Definition, now: Definition) -> bool:
    """True if hashes were made by another key; false if it is not known by which."""
    return bool(judged.hash_key and now.hash_key) and judged.hash_key != now.hash_key


def _labelled(column: ColumnFacts) -> bool:
    """True if the type holds hashes: the labels of an ENUM or SET."""
    return _kind(column) == HASHED and _LABEL.search(column.type) is not None


def _kind(column: ColumnFacts) -> str:
    return next((kind for kind in (MASKED, HASHED) if column.type.startswith(kind)), "")


def comparable(name: str, before: Table, after: Table, judged: Definition) -> tuple[Table, set[str]]:
    """The layout before without what is excluded by now, and the columns whose policy and key are the same in both."""
    shown = tuple(column for column in before.columns if mark(name, column.name) not in judged.hidden)
    was = {column.name: column.protection for column in shown}
    same = {column.name for column in after.columns if was.get(column.name, column.protection) == column.protection}
    if before.version <= judged.rekeyed < after.version:
        same -= {column.name for column in after.columns if column.labels and column.protection is Protection.HASH}
    return replace(before, columns=shown), same
