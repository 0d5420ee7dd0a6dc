"""Up to which offsets each table's index is proven: what an audit since the last clean one begins at.

Kept beside the reports. An audit counts if it was clean and began no later than where the ones before it had ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from auditor import shelf
from schemas.errors import UsageError
from schemas.report import Against, AuditReport, AuditStatus, TableReport


def read(name: str, table: str, topic_id: str | None, index: str) -> dict[int, int]:
    """Partition -> offset. Partitions that nothing is proven of are absent; all are, of another topic or index."""
    known = _read(_place(name)).get(table, {})
    if (known.get("topic_id"), known.get("index")) != (topic_id, index):
        return {}
    return {int(partition): int(offset) for partition, offset in known.get("ends", {}).items()}


def note(report: AuditReport) -> None:
    """Keep what it has proven."""
    if report.against is not Against.TOPIC:
        return
    place = _place(report.name)
    known = _read(place)
    for table in report.tables:
        if table.status is AuditStatus.CLEAN and table.windows:
            before = read(report.name, table.table, table.topic_id, table.index)
            ends = before | _ends(table, before)
            known[table.table] = {"topic_id": table.topic_id, "index": table.index, "ends": ends}
    shelf.write(place, orjson.dumps(known, option=orjson.OPT_NON_STR_KEYS))


def _ends(table: TableReport, before: Mapping[int, int]) -> dict[int, int]:
    return {
        window.partition: max(window.high, before.get(window.partition, 0))
        for window in table.windows
        if not table.since or window.low <= before.get(window.partition, -1)
    }


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
