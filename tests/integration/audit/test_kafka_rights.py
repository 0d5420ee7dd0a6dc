"""Kafka's ACLs: an audit that may not read everything is not green."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AclBinding, AclOperation, ResourceType

from auditing import World, found
from auditor.audit import audit
from auditor.compaction import by_time
from auditor.run_context import Context
from guarded_kafka import GuardedKafka, rights
from ops.settings import Settings
from schemas.errors import ExitCode, RefusedError
from schemas.report import AuditReport, AuditStatus
from servers import Kafka, Servers, settings_tree

pytestmark = [pytest.mark.stack, pytest.mark.soak]

READ, DESCRIBE = AclOperation.READ, AclOperation.DESCRIBE


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedKafka]:
    kafka = GuardedKafka(tmp_path_factory.mktemp("guarded"))
    try:
        kafka.start()
        yield kafka
    finally:
        kafka.stop()


class Place:
    """Two tables, and an audit by a user of few rights. A document of the first one is missing."""

    def __init__(self, kafka: GuardedKafka, servers: Servers, name: str) -> None:
        self.kafka, self.name = kafka, name
        self.servers = replace(servers, kafka=Kafka(bootstrap_servers=f"127.0.0.1:{kafka.port}"))
        self.client = servers.elastic.client()
        self.worlds = [World(self.settings(), self.client, table=table) for table in ("things", "unseen")]
        for world in self.worlds:
            world.put("1", "2")
            world.sync()
        self.worlds[0].remove("1")

    def settings(self, **kafka: Any) -> Settings:
        return Settings.model_validate(settings_tree(self.servers, self.name, audit={"wait_s": 2}, kafka=kafka))

    def topics(self, part: str, operation: AclOperation = READ) -> list[AclBinding]:
        return rights("auditor", ResourceType.TOPIC, f"{self.name}.{part}", [operation])

    def groups(self, part: str = "") -> list[AclBinding]:
        return rights("auditor", ResourceType.GROUP, f"{self.name}-{part}", [DESCRIBE])

    def audit(self, *bindings: AclBinding) -> AuditReport:
        self.kafka.grant("auditor", *bindings)
        return audit(Context(settings=self.settings(**self.kafka.login("auditor"))))

    def close(self) -> None:
        for world in self.worlds:
            world.close()
        self.client.close()


@pytest.fixture
def place(guarded: GuardedKafka, servers: Servers, unique: str, tmp_path: Path, monkeypatch: Any) -> Iterator[Place]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made = Place(guarded, servers, f"au{unique[-6:]}")
    yield made
    made.close()


def test_an_audit_without_rights_is_not_green(place: Place) -> None:
    """With what the documentation says it sees everything; with less it is refused, or that table is inconclusive."""
    assert found(place.audit(*place.topics(""), *place.groups())) == {"missing": ["1"]}
    layouts, letters = place.topics("__schema"), place.topics("__deadletter")
    first, second = place.topics("shop.things"), place.topics("shop.unseen")
    for lacking, bindings in {
        "__schema": [*letters, *first, *second, *place.groups()],
        "shop.unseen": [*layouts, *letters, *first, *place.groups()],
        "Group authorization": [*layouts, *letters, *first, *second],
    }.items():
        with pytest.raises(RefusedError, match=lacking) as caught:
            place.audit(*bindings)
        assert caught.value.exit_code == ExitCode.UNREACHABLE
        assert "ACLs" in caught.value.hint
    seen = place.topics("shop.unseen", DESCRIBE)
    report = place.audit(*layouts, *letters, *first, *seen, *place.groups())
    assert found(report) == {"missing": ["1"]}
    unseen = report.tables[1]
    assert unseen.status is AuditStatus.INCONCLUSIVE
    assert f"topic {place.worlds[1].topic} on" in unseen.reason
    report = place.audit(*layouts, *first, *second, *place.groups())
    assert (report.status, found(report)) == (AuditStatus.INCONCLUSIVE, {})
    assert f"{place.name}.__deadletter" in report.reason


def test_how_long_topics_keep_records_is_seen_with_the_documented_rights(place: Place) -> None:
    context = Context(settings=place.settings(**place.kafka.login("auditor")))
    place.kafka.grant("auditor", *place.topics(""))
    with pytest.raises(RefusedError):
        by_time(context, place.worlds[0].topic)
    place.kafka.grant("auditor", *place.topics(""), *place.topics("", AclOperation.DESCRIBE_CONFIGS))
    assert not by_time(context, place.worlds[0].topic)


def test_an_audit_that_may_not_look_at_the_sinks_group(place: Place) -> None:
    report = place.audit(*place.topics(""), *place.groups("audit"))
    assert found(report) == {"missing": ["1"]}
    for table in report.tables:
        assert table.lag.records is None
        assert table.lag.waited_s >= 2
