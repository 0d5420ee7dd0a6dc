"""When each table's last clean audit ended: kept beside the reports, since those of a bad time may be the newest."""

from __future__ import annotations

from pathlib import Path

import orjson

from auditor import shelf
from schemas.errors import UsageError
from schemas.report import AuditReport


def note(report: AuditReport) -> dict[str, float]:
    """Table -> end of its last clean audit, in seconds since 1970, this one's included. Only whole audits count."""
    place = shelf.folder(report.name) / f"clean-{report.against}.json"
    known = _read(place)
    for table in report.proven:
        known[table.table] = max(known.get(table.table, 0.0), report.finished.timestamp())
    shelf.write(place, orjson.dumps(known))
    return known


def _read(place: Path) -> dict[str, float]:
    try:
        return {str(table): float(ended) for table, ended in orjson.loads(place.read_bytes()).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(place), hint="Remove the file.") from None
