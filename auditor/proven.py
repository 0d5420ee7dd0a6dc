"""Up to which offsets each table's index is proven: what an audit since the last clean one begins at.

Kept beside the reports. An audit counts if it was clean and began no later than where the ones before it had ended.
A plain one says nothing of versions and fields: a deep one begins where the last clean deep one ended.
An audit that finds something wrong takes back what was proven, since it may lie before the end: the next one reads
everything, until that was clean. An event that Elasticsearch refused is read again as long as its letter stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from auditor import shelf
from auditor.findings import DEEP, RED
from schemas.errors import UsageError
from schemas.report import Against, AuditReport, AuditStatus, TableReport, Window


class Grounds(NamedTuple):
    """What a proof is about: a topic, one life of an index, the rules of its documents. It says nothing of others."""

    topic_id: str
    index_id: str
    rules: str


def read(name: str, table: str, grounds: Grounds, *, deep: bool) -> dict[int, int]:
    """Partition -> offset. Partitions that nothing is proven of are absent; all are, on other grounds."""
    known = _read(_place(name)).get(table, {})
    if not (grounds.topic_id and grounds.index_id) or known.get("grounds") != list(grounds):
        return {}
    return {int(partition): int(offset) for partition, offset in known[_depth(deep=deep)].items()}


def note(report: AuditReport) -> None:
    """Keep what it has proven, and take back what it has found wrong."""
    if report.against is Against.BINLOG:  # that says nothing of an index
        return
    place = _place(report.name)
    known = _read(place)
    for table in report.tables:
        if table.status is AuditStatus.FINDINGS:
            _take_back(known, table)
        elif report.against is Against.TOPIC and table.status is AuditStatus.CLEAN and table.windows and table.index_id:
            grounds = Grounds(table.topic_id, table.index_id, table.rules)
            known[table.table] = {"grounds": list(grounds), **_proven(report.name, table, grounds)}
    shelf.write(place, orjson.dumps(known, option=orjson.OPT_NON_STR_KEYS))


def _take_back(known: dict[str, Any], table: TableReport) -> None:
    """What only a deep audit sees was never proven by a plain one."""
    if set(table.counts) & RED <= DEEP and table.table in known:
        known[table.table][_depth(deep=True)] = {}
    else:
        known.pop(table.table, None)


def _proven(name: str, table: TableReport, grounds: Grounds) -> dict[str, dict[int, int]]:
    """Depth -> ends; a deep audit proves what a plain one does, too."""
    made = {}
    for deep in (False, True):
        before = read(name, table.table, grounds, deep=deep)
        made[_depth(deep=deep)] = _ends(table, before) if table.deep or not deep else before
    return made


def _depth(*, deep: bool) -> str:
    return "deep" if deep else "plain"


def _ends(table: TableReport, before: Mapping[int, int]) -> dict[int, int]:
    made = dict(before)
    refused = _refused(table)
    for window in table.windows:
        end = _end(window, before.get(window.partition, -1), whole=not table.since)
        made[window.partition] = min(end, refused.get(window.partition, end))
    if table.findings_cut:  # nobody knows where the others are
        return {}
    return {partition: end for partition, end in made.items() if end >= 0}


def _end(window: Window, before: int, *, whole: bool) -> int:
    """Negative if nothing is proven: also where the log ends before what was proven of it, for it is another one."""
    if whole:
        return window.high
    if window.high < before:
        return -1
    return window.high if window.low <= before else before


def _refused(table: TableReport) -> dict[int, int]:
    """Partition -> offset of the first event that a dead letter explains: the next audit is to see it, too."""
    made: dict[int, int] = {}
    for finding in table.findings:
        if (event := finding.expected) is not None:
            made[event.partition] = min(event.offset, made.get(event.partition, event.offset))
    return made


def _place(name: str) -> Path:
    return shelf.folder(name) / "proven.json"


def _read(place: Path) -> dict[str, Any]:
    try:
        found = orjson.loads(place.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(place), hint="Remove the file.") from None
    return found if isinstance(found, dict) else {}
