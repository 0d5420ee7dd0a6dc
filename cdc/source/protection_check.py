"""Whether a table's layout is one that its policies can protect; a column that they miss would be published."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from cdc.source.protection import TableProtection
from schemas.errors import ProtectionError
from schemas.table import Column, folded_column, full_name


class Objection(NamedTuple):
    """What speaks against a policy, and what to do about it."""

    what: str
    remedy: str


def objections(
    name: str, protection: TableProtection, columns: Collection[str], primary_key: Collection[str]
) -> Iterator[Objection]:
    """`columns`, `primary_key`: the names that the table has."""
    for column, policies in sorted(protection.contested.items()):
        yield Objection(
            f"column {protection.spelled[column]} of {name} is in several policies: {' and '.join(policies)}",
            f'Every [cdc.table."…"] whose pattern matches {name} holds for it: name the column in one policy only.',
        )
    for column in sorted(filter(protection.of, primary_key)):
        yield Objection(
            f"column {column} of {name} is in its primary key, which cannot be protected: {protection.of(column)}",
            "The key is the identity of a row, in Kafka's keys, document ids and reports. Give the table a key that "
            "tells nothing, or leave the table out with [cdc] exclude.",
        )
    there = {folded_column(column): column for column in columns}
    for column in sorted(protection.columns.keys() - protection.optional - there.keys()):
        close = difflib.get_close_matches(column, there, n=1, cutoff=0.5)
        guess = f"; did you mean {there[close[0]]}?" if close else ""
        done = _DONE[protection.columns[column]]
        yield Objection(
            f"{name} has no column {protection.spelled[column]}, which is to be {done}{guess}",
            "Correct the name. If the column was renamed, keep the old name beside the new one; if it was dropped, or "
            f'comes later, keep it too, and add it to optional in [cdc.table."{name}"]: rows with it may still be '
            "unread.",
        )


_DONE = {"exclude": "excluded", "mask": "masked", "hash": "hashed"}


def check_layout(
    db: str, table: str, protection: TableProtection, columns: Iterable[Column], primary_key: Collection[str]
) -> None:
    """Raise `ProtectionError` if rows of this layout could show a protected column."""
    names = [column.name for column in columns]
    found = list(objections(full_name(db, table), protection, names, primary_key))
    if found:
        raise ProtectionError("; ".join(one.what for one in found), hint=found[0].remedy)
