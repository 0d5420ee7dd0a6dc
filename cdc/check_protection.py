"""Whether the tables have the columns that are to be protected, and none that repeats them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from cdc.definition import Definition
from cdc.inventory import TableFacts, definitions, expressions
from cdc.server import Connection
from cdc.source.protection import Protections, TableProtection
from cdc.source.protection_check import objections
from ops.checks import Finding, Severity

CHECK = "protection"


def protection_findings(
    connection: Connection, found: Sequence[TableFacts], protections: Protections, where: str
) -> Iterator[Finding]:
    """`found`: the tables that the patterns want; policies without a table among them are findings too."""
    if not protections:
        return
    yield from _unmatched([table.full_name for table in found], protections, where)
    protected = {table.full_name: protections.of(table.db, table.name) for table in found}
    named = {name: protection for name, protection in protected.items() if protection is not None}
    declared, computed = definitions(connection, named), expressions(connection, named)
    for name, protection in named.items():
        if name in declared:
            yield from _table(name, protection, declared[name], computed.get(name, {}), where)


def _table(
    name: str, protection: TableProtection, declared: Definition, computed: Mapping[str, str], where: str
) -> Iterator[Finding]:
    place = f"{where}, {name}"
    columns = [column.name for column in declared.columns]
    for what, remedy in objections(name, protection, columns, declared.primary_key):
        yield Finding(check=CHECK, severity=Severity.FAIL, what=what, where=place, remedy=remedy)
    for column, expression in computed.items():
        sources = [one for one in columns if protection.of(one) and f"`{one.replace('`', '``')}`" in expression]
        if sources and protection.of(column) is None:
            yield Finding(
                check=CHECK,
                severity=Severity.WARN,
                what=f"column {column} of {name} is computed from {', '.join(sorted(sources))}, and is not protected",
                where=place,
                remedy=f'Protect it as well, in [cdc.table."{name}"], unless its expression gives nothing away.',
            )


def _unmatched(found: Sequence[str], protections: Protections, where: str) -> Iterator[Finding]:
    for pattern in protections.patterns:
        if any(fnmatchcase(name, pattern) for name in found):
            continue
        close = difflib.get_close_matches(pattern, found, n=1)
        guess = f"; did you mean {close[0]}?" if close else ""
        yield Finding(
            check=CHECK,
            severity=Severity.WARN,
            what=f'[cdc.table."{pattern}"] protects columns of no table that is there{guess}',
            where=where,
            remedy="Correct its name, unless the table comes later.",
        )
