"""Reports as an audit would make them, and hostile ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from auditor.audit import verdict
from auditor.key_space import Cells
from schemas.cost import Cost, Lag, Level
from schemas.report import AuditReport, AuditStatus, Finding, FindingClass, TableReport, Window

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
HOSTILE = "\"><script>alert(1)</script>'`{{7*7}}\x1b[31m\u202egnp.exe\u2028</title></style><img src=x onerror=alert(2)>"


def finding(kind: str, key: str, *, table: str = "s.t", partition: int = 0, offset: int = 5, op: str = "u") -> Finding:
    expected = {"op": op, "partition": partition, "offset": offset, "seq": 1 << 60, "commit_ts_ms": 1_763_700_000_000}
    found = {"version": (1 << 60) + 1, "seq_no": 3, "primary_term": 1, "offset": 2, "partition": partition}
    return Finding.model_validate(
        {"class": kind, "table": table, "document": f"{table}/{key}", "id": key, "key": key,
         "expected": None if kind == "foreign" else expected, "found": None if kind == "missing" else found}
    )  # fmt: skip


def window(partition: int = 0, low: int = 0, high: int = 1000, keys: int = 1, deleted: int = 0) -> Window:
    return Window(partition=partition, low=low, high=high, keys=keys, deleted=deleted)


def table(
    *findings: Finding, name: str = "s.t", keys: int = 1, parts: tuple[int, ...] = (0,), of: int | None = None,
    **more: Any,
) -> TableReport:  # fmt: skip
    """A table with these findings; without `status` it has the one that they give it."""
    counts: dict[FindingClass, int] = {}
    cells = Cells([f"{number:05}".encode() for number in range(0, keys, max(1, keys // 2000))])
    for one in findings:
        counts[one.class_] = counts.get(one.class_, 0) + 1
        cells.mark(one.class_, one.key)
    red = set(counts) - {FindingClass.DEAD_LETTERED}
    gray = AuditStatus.INCONCLUSIVE if more.get("reason") else AuditStatus.CLEAN
    made: dict[str, Any] = {
        "table": name, "topic": f"x.{name}", "topic_id": "i", "alias": f"x.{name}", "index": f"x.{name}.000001",
        "status": AuditStatus.FINDINGS if red else gray, "keys": keys, "counts": counts, "findings": list(findings),
        "partitions": len(parts) if of is None else of, "windows": [window(part, keys=keys) for part in parts],
        "key_space": cells.report(), "lag": Lag(records=4, waited_s=0.7, newest_ts_ms=1_763_700_000_000),
        "search": [Level(ranges=len(parts), dirty=1, keys=keys, requests=1, seconds=0.2)] if findings else [],
        "cost": Cost(events=keys + 3, requests=6, rounds=3, response_bytes=40_000, seconds=3.2, read_s=2.4),
    }  # fmt: skip
    return TableReport.model_validate({**made, **more})


def report(*tables: TableReport, name: str = "x", number: int = 0) -> AuditReport:
    status, reason = verdict(tables)
    return AuditReport(
        id=f"20261121T0300{number:02}-abc", name=name, status=status, reason=reason,
        started=NOW + timedelta(seconds=number), finished=NOW + timedelta(seconds=number + 2), tables=list(tables),
    )  # fmt: skip
