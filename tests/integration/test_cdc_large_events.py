"""Events and batches that a topic does not take: cdc stops by name, loses nothing, and goes on when the topic does."""

from __future__ import annotations

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from cdc_process import execute
from runner import until
from topic import read_topics

pytestmark = pytest.mark.stack


def limit(servers: str, topic: str, size_bytes: int) -> None:
    """Somebody else's hand: the topic takes no larger batches than this."""
    entry = ConfigEntry("max.message.bytes", str(size_bytes), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    client = AdminClient({"bootstrap.servers": servers})
    for future in client.incremental_alter_configs([resource]).values():
        future.result(60)


def test_a_row_that_the_topic_no_longer_takes(cdc_settings, start, mysql, table) -> None:
    settings = cdc_settings(kafka={"max_event_bytes": 100_000})
    servers, topic = settings.kafka.bootstrap_servers, f"{settings.source.name}.{table}.t"

    def ids() -> list[int]:
        found = read_topics(servers, [topic])
        return [r.key["id"] for r in sorted(found, key=lambda r: r.value["source"]["seq"])]

    with mysql.connect(database=table) as connection:
        execute(connection, "ALTER TABLE t ADD COLUMN doc LONGBLOB")
        first = start(settings)
        first.await_said('"engine"')
        # Rows of which many fit into a batch of the client's, and too many for the topic.
        rows = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 900) SELECT n FROM r"
        execute(connection, f"INSERT INTO t SELECT n, n, RANDOM_BYTES(1000) FROM ({rows}) AS numbers")
        until(lambda: len(ids()) == 900 or first.process.poll() is not None, "many small rows")
        assert ids() == list(range(1, 901))
        limit(servers, topic, 20_000)
        many = ", ".join(["RANDOM_BYTES(1000)"] * 30)
        execute(connection, f"INSERT INTO t VALUES (5000, 1, CONCAT({many}))", "INSERT INTO t VALUES (5001, 1, 'x')")
        assert first.wait() == 6, first.said
        assert "error[topic-mismatch]" in first.said
        again = start(settings)
        assert again.wait() == 6, again.said
        assert f"topic {topic}" in again.said
        assert ids() == list(range(1, 901))
        limit(servers, topic, settings.kafka.max_event_bytes)
        last = start(settings)
        until(lambda: len(ids()) == 902, "the large row")
    assert ids()[-2:] == [5000, 5001]
    assert last.stop() == 0, last.said
