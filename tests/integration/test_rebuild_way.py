"""A rebuild behind the real cdc and sink, under live writes, killed at every stage: nothing is lost."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from auditor.audit import audit
from auditor.run_context import Context
from ops.config import load
from rebuilding import rebuilt
from runner import Pipeline, until
from schemas.report import AuditStatus
from servers import Elastic
from workload import TABLES, Workload

pytestmark = pytest.mark.stack

KILLS = ("after_bulk:kill9@2", "rebuild_held:kill9", "rebuild_swapped:kill9")


def loaded(make_pipeline: Callable[..., Pipeline], database: str, seed: int) -> tuple[Pipeline, Workload]:
    pipeline = make_pipeline("rebuilt", cdc={"tables": [f"{database}.*"]}, audit={"max_requests_per_s": 500})
    mysql = pipeline.servers.mysql
    with mysql.connect() as connection:
        Workload.create(connection, database)
    pipeline.start("cdc", "sink")
    return pipeline, Workload(lambda: mysql.connect(read_timeout=10), database, seed, pause_s=0.004)


def test_under_live_writes_and_killed_at_every_stage(
    make_pipeline: Callable[..., Pipeline], elastic: Elastic, database: str
) -> None:
    pipeline, load_ = loaded(make_pipeline, database, 23)
    table = f"{database}.items"
    with load_:
        load_.await_commits(100)
        alias = pipeline.alias(database, "items")
        until(lambda: elastic.client().indices.exists_alias(name=alias), "the sink has made its index")
        for kill in KILLS:
            killed = rebuilt(pipeline.config, table, crash=kill)
            assert killed.code == -signal.SIGKILL, killed.said
            load_.await_commits(20)
        done = rebuilt(pipeline.config, table)
        assert (done.code, done.result["resumed"], done.result["swapped"]) == (0, True, True), done.said
        load_.await_commits(20)
    pipeline.check()
    pipeline.await_equal(database, TABLES)
    assert done.result["index"].endswith(".000002")
    assert audit(Context(settings=load(pipeline.config).settings)).status is AuditStatus.CLEAN
    assert pipeline.stop("sink") == 0


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_one_rebuild_after_the_other_under_live_writes(make_pipeline: Callable[..., Pipeline], database: str) -> None:
    pipeline, load_ = loaded(make_pipeline, database, 29)
    with load_:
        for number in range(20):
            table = f"{database}.{TABLES[number % 2]}"
            done = rebuilt(pipeline.config, table, "--drop-old")
            assert done.code == 0, done.said
            load_.await_commits(5)
    pipeline.await_equal(database, TABLES)
    assert audit(Context(settings=load(pipeline.config).settings)).status is AuditStatus.CLEAN
