"""`tidemark audit report`: shows kept reports, lists them, merges the parts of a shared-out audit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from auditor import printing, shelf
from auditor.archive import Archive
from auditor.audit import new_id, verdict
from auditor.merge import merge as merged_tables
from auditor.outputs import Outputs
from auditor.printing import Config, Html, Json, Output
from auditor.report_html import to_html
from auditor.report_json import to_json
from auditor.round import left
from auditor.run_context import Context
from ops.config import load
from schemas.audits import AuditList, AuditSummary, Kept
from schemas.errors import UsageError
from schemas.report import AuditReport

_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{6}")


def report(
    reports: Annotated[
        list[str] | None, typer.Argument(help="JSON reports, or ids of kept ones; by default the last one.")
    ] = None,
    *,
    last: Annotated[bool, typer.Option("--last", help="The last one; the default.")] = False,
    listing: Annotated[
        bool, typer.Option("--list", help="List the audits that are kept, here and in the index.")
    ] = False,
    merge: Annotated[bool, typer.Option("--merge", help="Put the parts of a shared-out audit together.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="With --merge: keep it, as an audit that was run here.")] = False,
    config: Config = None,
    as_json: Json = False,
    output: Output = None,
    html: Html = None,
) -> None:
    """Show a report again. The exit code is the audit's."""
    names = reports or []
    _check(names, last=last, listing=listing, merge=merge, keep=keep)
    if listing:
        printing.audits(_listed(_context(config)), as_json=as_json)
        return
    if merge:
        found = _merged([_named(name, config) for name in names])
        if keep:
            _keep(_context(config), found)
    else:
        found = _named(names[0], config) if names else find(_context(config), None)
    printing.report(found, as_json=as_json)
    if output is not None:
        shelf.write(output, to_json(found))
    if html is not None:
        shelf.write(html, to_html(found))
    printing.leave(left(found))


def _check(names: Sequence[str], *, last: bool, listing: bool, merge: bool, keep: bool) -> None:
    if sum((last, listing, merge)) > 1 or ((last or listing) and names):
        raise UsageError("give --last, --list, --merge with reports, or one report")
    if keep and not merge:
        raise UsageError("--keep is for --merge")
    if len(names) > 1 and not merge:
        raise UsageError(f"{len(names)} reports are too many to show", hint="Put parts together with --merge.")


def _context(config: Path | None) -> Context:
    return Context(settings=load(config).settings)


def _named(name: str, config: Path | None) -> AuditReport:
    """A file needs no configuration."""
    if _ID.fullmatch(name) and not Path(name).exists():
        return find(_context(config), name)
    return shelf.read(Path(name))


def find(context: Context, name: str | None) -> AuditReport:
    """A file, a kept audit by its id, or the last one: of this machine, or where it has none, of the index.

    Raises `UsageError` if there is none.
    """
    if name is not None and (not _ID.fullmatch(name) or Path(name).exists()):
        return shelf.read(Path(name))
    pipeline = context.settings.source.name
    here = shelf.find(pipeline, name)
    if here is not None:
        return here
    kept: AuditReport | None = None
    if context.settings.audit.reports_index:
        with Archive(context) as archive:
            kept = archive.last() if name is None else archive.read(name)
    if kept is not None:
        return kept
    what = "no audit has been run yet" if name is None else f"there is no audit {name}"
    hint = "Run `tidemark audit run`." if name is None else "See `tidemark audit report --list`."
    raise UsageError(what, where=str(shelf.folder(pipeline)), hint=hint)


def _listed(context: Context) -> AuditList:
    pipeline, index = context.settings.source.name, context.settings.audit.reports_index
    here = {found.id: found for found in shelf.listed(pipeline)}
    kept: dict[str, AuditSummary] = {}
    if index:
        with Archive(context) as archive:
            kept = {found.id: found for found in archive.listed()}
    both = sorted((kept | here).values(), key=lambda one: one.id, reverse=True)
    audits = [Kept(audit=one, here=one.id in here, in_index=one.id in kept) for one in both]
    return AuditList(name=pipeline, index=index, audits=audits)


def _merged(parts: Sequence[AuditReport]) -> AuditReport:
    """It is as old as the part that ended first: what is proven of all of it was so then."""
    tables = merged_tables(parts)
    status, reason = verdict(tables)
    return AuditReport(
        id=new_id(datetime.now(UTC)), name=parts[0].name, against=parts[0].against, status=status, reason=reason,
        started=min(part.started for part in parts), finished=min(part.finished for part in parts), tables=tables,
        parts=[id_ for part in parts for id_ in part.parts or [part.id]],
    )  # fmt: skip


def _keep(context: Context, found: AuditReport) -> None:
    name = context.settings.source.name
    if found.name != name:
        raise UsageError(f"the reports are about `{found.name}`, the configuration about `{name}`")
    shelf.keep(found)
    undelivered = Outputs(context, some=_about(found)).deliver(found)
    if undelivered is not None:
        raise undelivered


def _about(found: AuditReport) -> list[str]:
    """The tables that were shared out: all that is known, where no part came as far as any."""
    return [table.table for table in found.tables] or ["*"]
