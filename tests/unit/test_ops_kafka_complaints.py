"""A client whose brokers are away is no reason to fill a log, or to write past it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from confluent_kafka import KafkaError
from structlog.testing import capture_logs

from ops.kafka import admin
from ops.kafka_complaints import Complaints
from ops.settings import KafkaSettings
from runner import until

NOBODY = "127.0.0.1:1"


def test_a_kind_is_logged_once_in_a_while_with_how_many_there_were() -> None:
    complaints = Complaints(every_s=10, clock=iter((0.0, 1.0, 2.0, 9.9, 10.0, 20.5, 20.5)).__next__)
    with capture_logs() as lines:
        for _ in range(6):
            complaints(KafkaError(KafkaError._TRANSPORT))
        complaints(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert [line.get("more") for line in lines] == [None, 3, None, None]
    assert all(line["action"] == "kafka_error" and line["log_level"] == "warning" for line in lines)


def test_clients_do_not_share_what_they_told() -> None:
    with capture_logs() as lines:
        for _ in range(2):
            Complaints()(KafkaError(KafkaError._TRANSPORT))
    first, second = lines
    assert first == second


def test_brokers_that_are_away_fill_neither_stderr_nor_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    client = admin(KafkaSettings(bootstrap_servers=NOBODY), "complaining")
    with capture_logs() as lines:
        with pytest.raises(Exception, match="metadata"):
            client.list_topics(timeout=0.5)
        until(lambda: client.poll(0.05) or lines, "lost brokers are told of")
    assert not capfd.readouterr().err
    reasons = [line["reason"] for line in lines]
    assert all(one != next_one for one, next_one in pairwise(reasons))
    assert len(lines) <= 3
