"""Two cdc with one name: the older one is fenced and exits 7, in whatever order they start and wake."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cdc_process import Cdc, execute
from committed import end_of
from ops.settings import Settings
from runner import until
from servers import Mysql
from topic import read_topics

pytestmark = pytest.mark.stack


def seen(settings, database: str) -> list[int]:
    name = f"{settings.source.name}.{database}.t"
    found = [r for r in read_topics(settings.kafka.bootstrap_servers, [name]) if r.value is not None]
    return [r.key["id"] for r in sorted(found, key=lambda r: r.value["source"]["seq"])]


@contextmanager
def writing(mysql: Mysql, database: str) -> Iterator[list[int]]:
    """Rows, one after the other; gives their keys."""
    over, written = threading.Event(), list[int]()

    def write() -> None:
        with mysql.connect(database=database) as connection:
            while not over.wait(0.005):
                execute(connection, f"INSERT INTO t VALUES ({len(written) + 1}, 1)")
                written.append(len(written) + 1)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield written
    finally:
        over.set()
        thread.join()


def test_the_newer_one_takes_over(cdc_settings, start, stored, mysql, table) -> None:
    settings = cdc_settings()
    older = start(settings)
    older.await_said('"first_start"')  # what is inserted from here on is read
    first = stored(settings).claimant
    with writing(mysql, table) as written:  # so that the older one commits while the newer one takes over
        until(lambda: seen(settings, table), "the first row")
        newer = start(settings)
        assert older.wait() == 7, older.said
    assert "fenced" in older.said
    assert stored(settings).claimant not in ("", first)
    until(lambda: seen(settings, table) == written, "the rows")
    assert newer.stop() == 0, newer.said


def test_a_frozen_one_wakes_up_and_leaves(cdc_settings, start, stored, mysql, table) -> None:
    settings = cdc_settings()
    zombie = start(settings)
    zombie.await_said('"first_start"')  # what is inserted from here on is read
    first = stored(settings).claimant
    with mysql.connect(database=table) as connection:
        execute(connection, "INSERT INTO t VALUES (1, 1)")
        until(lambda: seen(settings, table) == [1], "the first row")
        zombie.process.send_signal(signal.SIGSTOP)
        heir = start(settings)
        until(lambda: stored(settings).claimant not in ("", first), "the second claim")
        execute(connection, "INSERT INTO t VALUES (2, 1)")
        until(lambda: seen(settings, table) == [1, 2], "the second row")
        zombie.process.send_signal(signal.SIGCONT)
        assert zombie.wait() == 7, zombie.said
        execute(connection, "INSERT INTO t VALUES (3, 1)")
        until(lambda: seen(settings, table) == [1, 2, 3], "the third row")
    assert heir.stop() == 0, heir.said


def test_one_that_froze_in_a_transaction_leaves_too(cdc_settings, start, stored, mysql, table) -> None:
    settings = cdc_settings()
    zombie = start(settings, {"TIDEMARK_CRASH": "before_commit:stop@3"})
    zombie.await_said('"first_start"')
    first = stored(settings).claimant
    with mysql.connect(database=table) as connection:
        for number in range(1, 6):
            execute(connection, f"INSERT INTO t VALUES ({number}, 1)")
    heir = start(settings)
    until(lambda: stored(settings).claimant not in ("", first), "the second claim")
    until(lambda: seen(settings, table) == [1, 2, 3, 4, 5], "all rows")
    zombie.process.send_signal(signal.SIGCONT)
    assert zombie.wait() == 7, zombie.said
    assert seen(settings, table) == [1, 2, 3, 4, 5]
    assert heir.stop() == 0, heir.said


def in_transaction(settings: Settings, database: str) -> bool:
    """Whether the table's topic holds records of a transaction that is neither committed nor aborted."""
    servers, topic = settings.kafka.bootstrap_servers, f"{settings.source.name}.{database}.t"
    return end_of(servers, topic) < end_of(servers, topic, committed=False)


def frozen_in_transaction(process: Cdc, settings: Settings, database: str) -> bool:
    process.process.send_signal(signal.SIGSTOP)
    if in_transaction(settings, database):
        time.sleep(3)  # a commit that is answered is not written down everywhere at once
        if in_transaction(settings, database):
            return True
    process.process.send_signal(signal.SIGCONT)
    return False


def test_one_whose_transaction_lies_half_on_the_broker_leaves_it_to_be_aborted(
    cdc_settings, start, stored, mysql, table
) -> None:
    settings = cdc_settings(kafka={"partitions": 1}, cdc={"max_batch_events": 1000})
    zombie = start(settings)
    zombie.await_said('"first_start"')  # what is inserted from here on is read
    first = stored(settings).claimant
    zombie.await_said('"engine"')
    last = 0
    with mysql.connect(database=table) as connection:
        execute(connection, "SET SESSION cte_max_recursion_depth = 100000")

        def caught() -> bool:  # there may be nothing left to publish when we look: so it gets more
            nonlocal last
            first_of, last = last + 1, last + 30_000
            rows = f"SELECT {first_of} UNION ALL SELECT n + 1 FROM r WHERE n < {last}"
            execute(connection, f"INSERT INTO t WITH RECURSIVE r(n) AS ({rows}) SELECT n, 0 FROM r")
            return any(frozen_in_transaction(zombie, settings, table) for _ in range(5))

        until(caught, "an open transaction")
    heir = start(settings)
    until(lambda: stored(settings).claimant not in ("", first), "the second claim")
    zombie.process.send_signal(signal.SIGCONT)
    assert zombie.wait() == 7, zombie.said
    assert "error[fenced]" in zombie.said
    until(lambda: len(seen(settings, table)) >= last, "all rows")
    assert seen(settings, table) == list(range(1, last + 1))
    assert heir.stop() == 0, heir.said


def test_another_source_with_our_server_id_is_named(cdc_settings, start, stored, unique, mysql, table) -> None:
    one = cdc_settings(source={"server_id": 77_001}, cdc={"heartbeat_s": 10})
    other = cdc_settings(f"{unique}_x", source={"server_id": 77_001}, cdc={"heartbeat_s": 10})
    first = start(one)
    until(lambda: stored(one).position, "the first position")
    second = start(other)
    assert first.wait() == 6, first.said
    assert "duplicate-reader" in first.said
    assert "server_id" in first.said
    with mysql.connect(database=table) as connection:
        execute(connection, "INSERT INTO t VALUES (1, 1)")
    until(lambda: seen(other, table) == [1], "the row")
    assert "starting over" not in second.said  # one cut the other off, once
    assert second.stop() == 0, second.said


def test_a_time_that_the_brokers_do_not_allow_is_no_fencing(cdc_settings, start) -> None:
    refused = start(cdc_settings(kafka={"transaction_timeout_s": 3600}))
    assert refused.wait() == 2, refused.said
    assert "transaction_timeout_s" in refused.said
