"""What a repair refuses before it writes, and which tables it chooses."""

from __future__ import annotations

import pytest

from auditor import repair
from auditor.run_context import Context
from ops.settings import Settings
from reports import finding, report, table
from schemas.errors import RepairCapError
from schemas.report import TableReport


def context(**audit: float) -> Context:
    source = {"name": "x", "user": "x", "password": "x"}
    return Context(settings=Settings.model_validate({"source": source, "audit": audit}))


def harmed(name: str, *, keys: int, orphans: int) -> TableReport:
    return table(*(finding("orphan", str(key), op="d", table=name) for key in range(orphans)), name=name, keys=keys)


def test_a_large_table_does_not_hide_that_all_of_a_small_one_would_go() -> None:
    both = report(harmed("s.large", keys=10_000_000, orphans=3), harmed("s.small", keys=150, orphans=150))
    with pytest.raises(RepairCapError, match="150 documents of a table with 150 audited keys") as refused:
        repair.repair(context(), both, apply=True)
    assert refused.value.where == "s.small"


def test_a_few_documents_are_never_too_large_a_share() -> None:
    repair._check_caps(context(), report(harmed("s.t", keys=4, orphans=1), harmed("s.other", keys=100, orphans=100)))
    with pytest.raises(RepairCapError):
        repair._check_caps(context(), report(harmed("s.t", keys=101, orphans=101)))


@pytest.mark.parametrize("keys", [0, 100])
def test_documents_from_before_the_window_are_none_of_its_keys(keys: int) -> None:
    some = report(harmed("s.t", keys=keys, orphans=200))
    with pytest.raises(RepairCapError):
        repair._check_caps(context(max_repair_share=0.9), some)
    repair._check_caps(context(max_repair_share=1.0), some)
