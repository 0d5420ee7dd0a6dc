"""When each table's last clean audit ended: kept beside the reports, since those of a bad time may be the newest."""

from __future__ import annotations

from pathlib import Path

import orjson

from auditor import shelf
from schemas.errors import TidemarkError, UsageError
from schemas.report import AuditReport


def upto(report: AuditReport) -> dict[str, float]:
    """Table -> end of its last clean audit, in seconds since 1970, this one's included. Only whole audits count.

    Where what was kept cannot be read, only this one is known: `note` says what is wrong.
    """
    try:
        known = _read(_place(report))
    except TidemarkError:
        known = {}
    return _with(known, report)


def note(report: AuditReport) -> None:
    """Keep it. Raises `UsageError` or `ConfigError` if that is not possible."""
    place = _place(report)
    shelf.write(place, orjson.dumps(_with(_read(place), report)))


def _with(known: dict[str, float], report: AuditReport) -> dict[str, float]:
    ended = report.finished.timestamp()
    return known | {table.table: max(known.get(table.table, 0.0), ended) for table in report.proven}


def _place(report: AuditReport) -> Path:
    return shelf.folder(report.name) / f"clean-{report.against}.json"


def _read(place: Path) -> dict[str, float]:
    try:
        return {str(table): float(ended) for table, ended in orjson.loads(place.read_bytes()).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(place), hint="Remove the file.") from None
