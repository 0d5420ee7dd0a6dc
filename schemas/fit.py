"""Whether what is configured of a table's documents fits the table."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator

from schemas.condition import Condition
from schemas.shape import Rules, twice
from schemas.table import Table, folded_column


def misfits(rules: Rules, table: Table) -> list[str]:
    """Why documents of this version of a table cannot be made by the rules; nothing if they can."""
    fields = [field for column in table.columns if (field := rules.field_of(column.name)) is not None]
    several = twice(fields)
    found = [f"several columns end in one field: {several}"] if several else []
    found += [text for condition in rules.filter for text in _filter_faults(condition, table)]
    return [*found, *_routing_faults(rules, table)]


def unknown(rules: Rules, columns: Collection[str]) -> list[str]:
    """Columns that are configured and that no version of the table has; `columns`: of all versions.

    What a transform returns is known to nobody, so with one there is no telling; nor is there without any column.
    """
    if rules.transform or not columns:
        return []
    known = {folded_column(column) for column in columns}
    named = {
        "include": rules.include or (), "exclude": rules.exclude, "rename": rules.rename, "type": rules.types,
        "analyzer": rules.analyzers,
    }  # fmt: skip
    return [
        f"fields.{key} names {name}, which is no column{_suggestion(name, columns)}"
        for key, names in named.items()
        for name in sorted(names)
        if folded_column(name) not in known
    ]


def _filter_faults(condition: Condition, table: Table) -> Iterator[str]:
    folded = folded_column(condition.column)
    column = next((column for column in table.columns if folded_column(column.name) == folded), None)
    if column is None and table.open:
        return
    if column is None:
        suggestion = _suggestion(condition.column, [column.name for column in table.columns])
        yield f"the filter names {condition.column}, which is no column{suggestion}"
    elif fault := condition.fault(column):
        yield f"the filter on {condition.column}: {fault}"


def _routing_faults(rules: Rules, table: Table) -> Iterator[str]:
    stray = [name for name in rules.routing if name not in table.primary_key]
    if stray:
        key = ", ".join(table.primary_key)
        yield f"routing names {', '.join(stray)}, which is not in the primary key ({key}): the id has to imply it"
    elif rules.routing and len(set(rules.routing)) == len(table.primary_key):
        yield "routing names the whole primary key: without it documents are routed by that anyway"


def _suggestion(name: str, columns: Collection[str]) -> str:
    close = difflib.get_close_matches(name, columns, n=1)
    return f" (did you mean {close[0]}?)" if close else ""
