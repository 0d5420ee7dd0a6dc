"""Whether the tables have the columns that are to be protected, and none that repeats them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from cdc.definition import Definition
from cdc.inventory import TableFacts, definitions, existing, expressions
from cdc.server import Connection
from cdc.source.protection import Protections, TablePolicies, TableProtection
from cdc.source.protection_check import objections
from ops.checks import Finding, Severity

CHECK = "protection"
_WILD = re.compile(r"[*?\[]")


def protection_findings(
    connection: Connection, found: Sequence[TableFacts], protections: Protections, where: str
) -> Iterator[Finding]:
    """`found`: the tables that the patterns want; policies for a table that is nowhere are findings too."""
    if not protections:
        return
    captured = [table.full_name for table in found]
    lonely = [pattern for pattern in protections.sections if not any(fnmatchcase(name, pattern) for name in captured)]
    if lonely:
        there = existing(connection)
        for pattern in lonely:
            yield from _unmatched(pattern, protections.sections[pattern], captured, there, where)
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


def _unmatched(
    pattern: str, section: TablePolicies, captured: Sequence[str], there: Collection[str], where: str
) -> Iterator[Finding]:
    """`captured`: tables that the pattern does not match; `there`: these and all others."""
    folded = [name for name in captured if fnmatchcase(name.lower(), pattern.lower())]
    if not folded and any(fnmatchcase(name, pattern) for name in there):
        return
    what = f'[cdc.table."{pattern}"] protects columns of no table that is there'
    if folded:
        severity, guess = Severity.FAIL, f"; {folded[0]} differs from it in capital letters only"
        remedy = "Write the name as the server does: patterns of tables tell capital letters from small ones."
    else:
        close = difflib.get_close_matches(pattern, captured, n=1)
        guess = f"; did you mean {close[0]}?" if close else ""
        severity = Severity.FAIL if section.required and not _WILD.search(pattern) else Severity.WARN
        remedy = "Correct its name. If the table comes later, or was dropped, add all of its columns to optional there."
    yield Finding(check=CHECK, severity=severity, what=what + guess, where=where, remedy=remedy)
