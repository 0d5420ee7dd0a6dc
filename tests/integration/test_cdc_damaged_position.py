"""A position that somebody wrote over: cdc stops by name, starts nowhere by itself, goes on once it is told where."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from confluent_kafka import Producer

from cdc.position_store import CLAIM_KEY, POSITION_KEY
from cdc.reset import reset
from cdc_process import Cdc, execute
from ops.settings import Settings
from runner import until
from schemas.errors import FormatError
from servers import Mysql
from stack.kafka import KafkaServer
from topic import read_topics

pytestmark = pytest.mark.stack


def overwrite(servers: str, topic: str, key: bytes, value: bytes) -> None:
    client = Producer({"bootstrap.servers": servers})
    client.produce(topic, key=key, value=value, partition=0)
    assert client.flush(10) == 0


def ids(settings: Settings, table: str) -> list[int]:
    found = read_topics(settings.kafka.bootstrap_servers, [f"{settings.source.name}.{table}.t"])
    return [r.key["id"] for r in sorted(found, key=lambda r: r.value["source"]["seq"])]


def test_a_position_that_is_none(cdc_settings, start, stored, mysql: Mysql, table: str) -> None:
    settings = cdc_settings()
    where, topic = settings.kafka.bootstrap_servers, f"{settings.source.name}.__positions"
    first = start(settings)
    until(lambda: stored(settings).position, "the first position")
    with mysql.connect(database=table) as connection:
        execute(connection, "INSERT INTO t VALUES (1, 1)")
        until(lambda: ids(settings, table) == [1], "the first row")
        assert first.stop() == 0, first.said
        good = stored(settings).position
        execute(connection, "INSERT INTO t VALUES (2, 1)")
        for value in (orjson.dumps(good.to_json())[:-9], orjson.dumps({**good.to_json(), "format": 7})):
            overwrite(where, topic, POSITION_KEY, value)
            refused = start(settings)
            assert refused.wait() == 6, refused.said
            assert "error[format]" in refused.said
        assert ids(settings, table) == [1]
        overwrite(where, topic, POSITION_KEY, orjson.dumps(good.to_json()))  # a backup
        again = start(settings)
        until(lambda: ids(settings, table) == [1, 2], "the second row")
        assert again.stop() == 0, again.said
        overwrite(where, topic, POSITION_KEY, orjson.dumps(good.to_json()))  # an older one: row 2 came after it
        refused = start(settings)
        assert refused.wait() == 5, refused.said
        assert "error[position-lost]" in refused.said
        assert f"--to 'gtid:{good.gtid_set}'" in refused.said
        assert ids(settings, table) == [1, 2]
        overwrite(where, topic, POSITION_KEY, b"x")
        overwrite(where, topic, CLAIM_KEY, b"x")
        with pytest.raises(FormatError):
            stored(settings)
        execute(connection, "INSERT INTO t VALUES (3, 1)")
        after = reset(settings, f"gtid:{good.gtid_set}").position
        assert after.seq >> 39 > good.seq >> 39
        last = start(settings)
        until(lambda: ids(settings, table)[-1] == 3, "the third row", 60)
        assert ids(settings, table) == [1, 2, 2, 3]
    assert last.stop() == 0, last.said


@pytest.mark.soak
def test_a_position_whose_bytes_changed_on_the_brokers_disk(
    cdc_settings: Callable[..., Settings],
    start: Callable[..., Cdc],
    stored: Callable[[Settings], object],
    table: str,
    tmp_path: Path,
) -> None:
    assert table
    kafka = KafkaServer(tmp_path / "kafka")
    kafka.start()
    try:
        settings = cdc_settings(kafka={"bootstrap_servers": f"127.0.0.1:{kafka.port}"})
        first = start(settings)
        first.await_said('"engine"')
        assert first.stop() == 0
        kafka.stop()
        damage(kafka.data / f"{settings.source.name}.__positions-0" / f"{0:020}.log")
        kafka.start()
        again = start(settings)
        assert again.wait() == 6, again.said
        assert "checksum does not match" in again.said
    finally:
        kafka.stop()


def damage(segment: Path) -> None:
    """Change a letter of the last position in a log segment."""
    found = segment.read_bytes()
    at = found.rindex(b'"gtid_set"')
    segment.write_bytes(found[: at + 1] + b"G" + found[at + 2 :])
