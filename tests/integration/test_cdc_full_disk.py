"""Kafka's disk is full, then read-only: cdc waits, and goes on where it was when the disk is well again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cdc_process import Cdc, execute
from committed import committed_values
from ops.settings import Settings
from runner import until
from servers import Mysql
from small_disk import fill, mount, mounted
from stack.errors import ServerStartError
from stack.kafka import KafkaServer

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
_DISK_BYTES = 24 << 20


class OnSmallDisk(KafkaServer):
    """A broker whose data lies on a file system of its own."""

    @property
    def disk(self) -> Path:
        return self.folder / "disk"

    @property
    def data(self) -> Path:
        return self.disk / "data"


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[OnSmallDisk]:
    made = OnSmallDisk(tmp_path / "kafka")
    with mounted(made.disk, _DISK_BYTES):
        try:
            made.start()
            yield made
        finally:
            made.stop()


def test_a_broker_whose_disk_is_full_and_then_read_only(
    cdc_settings: Callable[..., Settings],
    start: Callable[..., Cdc],
    mysql: Mysql,
    table: str,
    kafka: OnSmallDisk,
) -> None:
    place = f"127.0.0.1:{kafka.port}"
    settings = cdc_settings(kafka={"bootstrap_servers": place, "transaction_timeout_s": 3})
    process = start(settings)
    topic = f"{settings.source.name}.{table}.t"

    def seen() -> list[int]:
        assert process.process.poll() is None, process.said
        return [event["after"]["id"] for event in committed_values(place, topic)]

    process.await_said('"engine"')
    with mysql.connect(database=table) as connection:
        execute(connection, "ALTER TABLE t ADD COLUMN filler VARBINARY(1024)", "INSERT INTO t (id) VALUES (0)")
        until(lambda: seen() == [0], "the first row")
        filler = fill(kafka.disk)
        for number in range(1, 1001):
            execute(connection, f"INSERT INTO t VALUES ({number}, 0, RANDOM_BYTES(1024))")
        until(lambda: not kafka.pid, "the broker's end", 180)
        process.await_said('"restart"')
        filler.unlink()
        assert mount("-o", "remount,ro", kafka.disk).returncode == 0
        with pytest.raises(ServerStartError):
            kafka.start()
        assert process.process.poll() is None, process.said
        assert mount("-o", "remount,rw", kafka.disk).returncode == 0
        kafka.start()
        execute(connection, "INSERT INTO t (id) VALUES (1001)")
    until(lambda: len(seen()) >= 1002, "all rows", 180)
    assert seen() == list(range(1002))
    assert process.stop() == 0, process.said
