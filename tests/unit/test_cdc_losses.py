"""What events could not carry is counted, and warned of without flooding the log."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from cdc.loss_report import LossReport
from cdc.meter import Meter
from cdc.source.losses import Losses
from cdc.source.seam import Batch, Loss, LossKind
from schemas.errors import SlowCommitError
from schemas.position import Position


def _counted(kind: str, table: str) -> float:
    name = {"omitted": "omitted_columns", "undecodable": "undecodable_values"}[kind]
    return REGISTRY.get_sample_value(f"tidemark_cdc_{name}_total", {"table": table}) or 0.0


def test_a_batch_counts_per_table_and_kind() -> None:
    losses = Losses()
    losses.add(LossKind.OMITTED, "d.t", ("b", "a"))
    losses.add(LossKind.OMITTED, "d.t", ("b",))
    losses.add(LossKind.UNDECODABLE, "d.t", ("v",))
    losses.add(LossKind.OMITTED, "d.u", ())
    assert losses.take() == (
        Loss(kind=LossKind.OMITTED, table="d.t", columns=("a", "b"), count=3),
        Loss(kind=LossKind.UNDECODABLE, table="d.t", columns=("v",), count=1),
    )
    assert losses.take() == ()


def test_one_warning_a_minute_counts_everything() -> None:
    now = 0.0
    report = LossReport(lambda: now)
    with capture_logs() as said:
        for second in range(0, 121, 10):
            now = second
            report.published([Loss(kind=LossKind.OMITTED, table="d.many", columns=(f"c{second // 60}",), count=2)])
        report.published([Loss(kind=LossKind.UNDECODABLE, table="d.many", columns=("v",), count=1)])
    assert [(line["action"], line["columns"], line["count"]) for line in said] == [
        ("columns_omitted", "c0", 2),
        ("columns_omitted", "c0, c1", 12),
        ("columns_omitted", "c1, c2", 12),
        ("columns_undecodable", "v", 1),
    ]
    assert {(line["log_level"], line["table"]) for line in said} == {("warning", "d.many")}
    assert (_counted("omitted", "d.many"), _counted("undecodable", "d.many")) == (26, 1)


def test_only_what_is_published_is_counted() -> None:
    position = Position(gtid_set="", file="bin.000001", pos=4, server_uuid="", seq=0)
    loss = Loss(kind=LossKind.UNDECODABLE, table="d.meter", columns=("v",), count=1)
    batch, meter = Batch(records=(), position=position, losses=(loss,)), Meter()
    with pytest.raises(SlowCommitError), meter.publishing(batch):
        raise SlowCommitError("slow")
    assert _counted("undecodable", "d.meter") == 0
    meter.session()
    with meter.publishing(batch):
        pass
    assert _counted("undecodable", "d.meter") == 0
    with capture_logs():
        meter.moved(position)
    assert _counted("undecodable", "d.meter") == 1
