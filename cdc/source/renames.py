"""Statements by which a protected column's values could come to stand under another name."""

from __future__ import annotations

from collections.abc import Iterator

from cdc.source.protection import Protections, TableProtection
from cdc.source.query import Query
from cdc.source.seam import Router
from cdc.source.sql import Token, tokens
from cdc.source.statement import Kind, Name, Statement
from schemas.errors import ProtectionError
from schemas.table import full_name


def check_renames(query: Query, statement: Statement, version: int, protections: Protections, router: Router) -> None:
    """Raise `ProtectionError` if a statement moves protected values to where nothing protects them."""
    if not protections:
        return
    moved: dict[Name, Name] = {}  # name afterwards -> the one whose policies the rows were under
    for old, new in statement.moves:
        moved[new] = moved.pop(old, old)
    for new, old in moved.items():
        _check_tables(old, new, protections, router)
    if statement.kind in (Kind.LAYOUT, Kind.RENAMED, Kind.REPLACED) and statement.tables:
        db, table = statement.tables[0]
        protection = protections.of(db, table)
        if protection is not None:
            for before, after in _columns(list(tokens(query, version))):
                _check_columns(full_name(db, table), protection, before, after)


def _check_tables(old: Name, new: Name, protections: Protections, router: Router) -> None:
    was, becomes = protections.of(*old), protections.of(*new)
    if was is None or not router.wants(*new):
        return
    bare = sorted(
        was.spelled[name] for name, policy in was.columns.items() if not becomes or becomes.columns.get(name) != policy
    )
    if bare:
        raise ProtectionError(
            f"rows of {full_name(*old)} become rows of {full_name(*new)}, where nothing protects {', '.join(bare)}",
            hint=f'Give [cdc.table."{full_name(*new)}"] the same policies, or leave it out with [cdc] exclude.',
        )


def _check_columns(table: str, protection: TableProtection, before: str, after: str) -> None:
    policy = protection.of(before)
    if policy is None or protection.of(after) == policy:
        return
    raise ProtectionError(
        f"column {before} of {table} is to be protected ({policy}), and becomes {after}, which is not",
        hint=f'In [cdc.table."{table}"] name both in {policy}, and both in optional; after the rows from before the '
        "renaming have been read, the old name can go.",
    )


def _columns(found: list[Token]) -> Iterator[tuple[str, str]]:
    """RENAME COLUMN a TO b; CHANGE [COLUMN] a b …; MariaDB's IF EXISTS in either."""
    for at, token in enumerate(found):
        if token.word not in ("RENAME", "CHANGE"):
            continue
        words = [following.word for following in found[at + 1 : at + 4]]
        column = words[:1] == ["COLUMN"]
        if token.word == "RENAME" and not column:
            continue
        first = at + 1 + int(column)
        first += 2 * int(words[int(column) :][:2] == ["IF", "EXISTS"])
        second = first + (2 if token.word == "RENAME" else 1)
        if second < len(found):
            yield found[first].name, found[second].name
