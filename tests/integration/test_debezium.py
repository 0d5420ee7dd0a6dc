"""Topics that Debezium wrote, indexed and audited: played from a recording, and (soak) from the connector itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

import bench.servers
import debezium
from auditor.audit import audit
from auditor.repair import repair
from auditor.run_context import Context
from ops.config import load
from oracle import documents
from rebuilding import rebuilt
from runner import Pipeline
from schemas.errors import ExitCode
from schemas.names import index
from schemas.report import AuditReport, AuditStatus
from servers import ADDRESSES, Elastic, Kafka, Servers

pytestmark = pytest.mark.stack

DEBEZIUM = {"format": "debezium"}


@pytest.fixture
def pipeline(make_pipeline: Callable[..., Pipeline]) -> Iterator[Pipeline]:
    found = make_pipeline("dbz", sink=DEBEZIUM, audit={"max_requests_per_s": 500})
    yield found
    clean(found)


def clean(pipeline: Pipeline) -> None:
    """End it, and delete its indices and topics."""
    pipeline.close()
    client = pipeline.servers.elastic.client()
    names = list(client.indices.get(index=f"{pipeline.name}.*", features="aliases", expand_wildcards="all").body)
    client.indices.delete(index=names or ["none-at-all"], ignore_unavailable=True)
    debezium.clean(pipeline.servers.kafka.bootstrap_servers, pipeline.name)


def audited(pipeline: Pipeline, status: AuditStatus) -> AuditReport:
    report = audit(Context(settings=load(pipeline.config).settings))
    assert report.status is status, (report.reason, report.findings()[:3])
    return report


def shown(elastic: Elastic, pipeline: Pipeline, table: str, db: str) -> dict[str, dict[str, Any]]:
    """Documents without `_cdc`; floats of column `f` by their bytes."""
    found = documents(elastic.client(), pipeline.alias(db, table))
    for source in found.values():
        block = source.pop("_cdc")
        assert block["seq"] == (block["offset"] + 1) << 10
        if source.get("f") is not None:
            source["f"] = debezium.plain(source["f"])
    return found


@pytest.mark.parametrize("name", ["schemas", "plain"])
def test_a_recording_is_indexed_audited_and_mended(pipeline: Pipeline, elastic: Elastic, name: str) -> None:
    recording = debezium.load(name)
    debezium.play(recording, pipeline.servers.kafka.bootstrap_servers, pipeline.name)
    pipeline.start("sink")
    report = audited(pipeline, AuditStatus.CLEAN)
    assert {table.table: table.keys for table in report.tables} == {
        f"{recording.db}.{table}": len(rows) for table, rows in recording.rows.items()
    }
    for table in debezium.PARTITIONS:
        found = shown(elastic, pipeline, table, recording.db)
        if name == "schemas":
            assert found == recording.rows[table]
        assert len(found) == len(recording.rows[table])
    client, alias = elastic.client(), pipeline.alias(recording.db, "orders")
    mapping = client.indices.get_mapping(index=alias)[index(alias)]["mappings"]["properties"]
    assert (mapping["id"]["type"], mapping["note"]["type"]) == ("long", "text")
    assert mapping["price"]["type"] == ("double" if name == "schemas" else "text")
    client.delete(index=alias, id="2")
    client.index(index=alias, id="104", document={"id": 104, "note": "by hand"})
    broken = audited(pipeline, AuditStatus.FINDINGS)
    assert {finding.id for finding in broken.findings()} == {"2", "104"}
    if name == "schemas":
        context = Context(settings=load(pipeline.config).settings)
        assert repair(context, broken, apply=True).repaired == 2
        audited(pipeline, AuditStatus.CLEAN)
        assert shown(elastic, pipeline, "orders", recording.db) == recording.rows["orders"]
    assert pipeline.stop("sink") == 0


def test_a_truncate_among_several_partitions_stops(pipeline: Pipeline) -> None:
    kafka = pipeline.servers.kafka.bootstrap_servers
    recording = debezium.load("plain")
    debezium.play(recording, kafka, pipeline.name)
    truncate = next(one for one in recording.records if one.key is None)
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce(recording.topic("orders", pipeline.name), truncate.value, partition=1)
    assert producer.flush(10) == 0
    pipeline.start("sink", ready=False)
    assert pipeline.wait("sink", 60) == ExitCode.UNSAFE
    assert "a TRUNCATE in a topic of 3 partitions" in pipeline.log("sink")


def test_partitions_that_are_added_stop_it(pipeline: Pipeline) -> None:
    kafka = pipeline.servers.kafka.bootstrap_servers
    recording = debezium.load("plain")
    debezium.play(recording, kafka, pipeline.name)
    pipeline.start("sink")
    topic = recording.topic("orders", pipeline.name)
    client = AdminClient({"bootstrap.servers": kafka})
    client.create_partitions([NewPartitions(topic, 4)])[topic].result(60)
    assert pipeline.wait("sink", 60) == ExitCode.UNSAFE
    pipeline.start("sink", ready=False)
    assert pipeline.wait("sink", 60) == ExitCode.UNSAFE
    assert pipeline.log("sink").count("has 4 partitions, and had 3") >= 1
    assert rebuilt(pipeline.config, f"{recording.db}.orders").code == ExitCode.UNSAFE


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("schemas", [True, False])
def test_the_connector_itself(
    servers: Servers, elastic: Elastic, unique: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, schemas: bool
) -> None:
    for name in ADDRESSES:  # servers of its own: Debezium ends at a server that has ever had a tagged GTID
        monkeypatch.delenv(name, raising=False)
    database = f"r_{unique[-6:]}"
    with bench.servers.servers(tmp_path / "servers", print) as place:
        recording = debezium.record(place, database, schemas=schemas, folder=tmp_path / "connect")
        kafka = replace(servers, kafka=Kafka(bootstrap_servers=place.kafka))
        pipeline = Pipeline(tmp_path / "sink", kafka, recording.prefix, sink=DEBEZIUM)
        try:
            pipeline.start("sink")
            audited(pipeline, AuditStatus.CLEAN)
            done = rebuilt(pipeline.config, f"{database}.orders")
            assert done.code == 0, done.said
            audited(pipeline, AuditStatus.CLEAN)
            if schemas:
                assert shown(elastic, pipeline, "orders", database) == recording.rows["orders"]
        finally:
            clean(pipeline)
