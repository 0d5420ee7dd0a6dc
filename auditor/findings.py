"""From what was judged to what the report says."""

from __future__ import annotations

from auditor.case import Case
from auditor.doc import Doc
from auditor.op import Op
from schemas.report import Expected, Finding, FindingClass, Found


def finding(table: str, case: Case) -> Finding:
    """The report's words for a case that has a class."""
    expected = case.verdict.expected
    key = expected.key if expected else (case.doc.key if case.doc else None)
    return Finding.model_validate(
        {
            "class": case.verdict.kind,
            "table": table,
            "document": f"{table}/{case.id}",
            "id": case.id,
            "key": case.id if key is None else key,
            "expected": _expected(expected) if expected else None,
            "found": found(case.doc) if case.doc else None,
            "differs": list(case.differs),
        }
    )


def _expected(op: Op) -> Expected:
    return Expected(op=op.op, partition=op.partition, offset=op.offset, seq=op.seq, commit_ts_ms=op.ts_ms)


def found(doc: Doc) -> Found:
    """What there is, in the report's words."""
    return Found(
        version=doc.version,
        seq_no=doc.seq_no,
        primary_term=doc.primary_term,
        topic_id=doc.topic_id,
        partition=doc.partition,
        offset=doc.offset,
        seq=doc.seq,
        rev=doc.rev,
    )


FINDINGS_LIMIT = 20_000
RED = frozenset(FindingClass) - {FindingClass.DEAD_LETTERED}
DEEP = frozenset({FindingClass.CONTENT, FindingClass.TAMPERED})  # only a deep audit sees these
