"""Reports are kept: `$XDG_STATE_HOME/tidemark/audits/<pipeline>/<id>.json`, the newest hundred."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from pydantic import ValidationError

from auditor.report_json import to_json
from ops.log import logger
from ops.paths import state_home
from schemas.audits import AuditSummary
from schemas.errors import ConfigError, UsageError
from schemas.report import AuditReport

_log = logger(__name__)
_KEPT = 100


def folder(name: str) -> Path:
    """The pipeline's folder; it is there afterwards. Raises `ConfigError` if it cannot be made."""
    place = state_home() / "audits" / name
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the folder for reports cannot be made: {error.strerror}", where=str(place), hint="Set XDG_STATE_HOME."
        ) from None
    return place


def keep(report: AuditReport) -> Path:
    """Write it, whole or not at all; where it is."""
    place = folder(report.name) / f"{report.id}.json"
    write(place, to_json(report))
    for old in _all(report.name)[:-_KEPT]:
        with contextlib.suppress(OSError):  # the next one tries again
            old.unlink(missing_ok=True)
    return place


def write(place: Path, content: bytes) -> None:
    """Write a file, whole or not at all. Raises `UsageError` if that is not possible."""
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(place)
    except OSError as error:
        with contextlib.suppress(OSError):  # as on a file system that may only be read by now
            part.unlink(missing_ok=True)
        raise UsageError(f"the report cannot be written: {error.strerror}", where=str(place)) from None


def read(place: Path) -> AuditReport:
    """Raises `UsageError` for what is no report."""
    try:
        return AuditReport.model_validate_json(place.read_bytes())
    except OSError as error:
        raise UsageError(f"the report cannot be read: {error.strerror}", where=str(place)) from None
    except ValidationError as error:
        raise UsageError(
            f"not a report that this version reads: {error.errors()[0]['msg']}",
            where=str(place),
            hint="Give a file that `tidemark audit run --json` or --output has written.",
        ) from None


def find(name: str, id_: str | None) -> AuditReport | None:
    """The report of that id, or the newest; None if there is none."""
    kept = _all(name) if id_ is None else [place for place in _all(name) if place.stem == id_]
    return read(kept[-1]) if kept else None


def listed(name: str) -> list[AuditSummary]:
    """All that are kept and that this version can read, the oldest first. The others are named in the log."""
    made = []
    for place in _all(name):
        try:
            made.append(AuditSummary.of(read(place)))
        except UsageError as error:
            _log.warning("a kept report cannot be listed", action="report_unreadable", where=str(place),
                         reason=str(error), hint="Upgrade tidemark, or remove the file.")  # fmt: skip
    return made


def _all(name: str) -> list[Path]:
    return sorted(folder(name).glob("[0-9]*.json"))
