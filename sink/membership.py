"""How a sink is a member of its group, and for how long a confirmation of that holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ops.kafka import SESSION, admin, session_of_brokers_s
from ops.settings import Settings

_SESSION_S = 6  # how long a killed sink keeps its partitions; brokers allow no less by default
_LONGEST_SESSION_S = 10
_LONGEST_LEASE_S = 120  # with the time that a request may take this is well below `index.gc_deletes`
_CLASSIC = {
    "partition_assignment_strategy": "cooperative-sticky",
    "session_timeout_ms": _SESSION_S * 1000,
    "heartbeat_interval_ms": _SESSION_S * 1000 // 3,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """`client`: what the Kafka client is told. `session_s`: how long the group waits for a sign of life.

    `why` it is this protocol and not the other.
    """

    client: dict[str, Any]
    session_s: float
    why: str

    @property
    def protocol(self) -> str:
        """`consumer` or `classic`."""
        return str(self.client.get("group_protocol", "classic"))

    @property
    def lease_s(self) -> float:
        """Nobody else has our partitions for so long after the group has answered us as a member.

        It may have heard our last sign of life one heartbeat before that, which is a third of a session at the most.
        """
        return min(self.session_s * 2 / 3 - 0.5, _LONGEST_LEASE_S)


def membership(settings: Settings) -> Membership:
    """By KIP-848 where the brokers have it, unless a killed sink would keep its partitions for much longer there."""
    wanted, kafka = settings.sink.group_protocol, settings.kafka
    if wanted == "classic":
        return _classic("group_protocol says so")
    session_s = session_of_brokers_s(admin(kafka, settings.sink_group), kafka.bootstrap_servers)
    if wanted == "consumer":
        # Brokers that may not be asked are taken for the quickest.
        return _consumer(session_s or _SESSION_S, "group_protocol says so")
    if session_s is None:
        return _classic("the brokers do not assign partitions themselves, or do not tell")
    if session_s > _LONGEST_SESSION_S:
        return _classic(f"the brokers give up a dead sink after {session_s:g} s only ({SESSION}), not {_SESSION_S}")
    return _consumer(session_s, "the brokers have it and are quick with it")


def _classic(why: str) -> Membership:
    return Membership(client=_CLASSIC, session_s=_SESSION_S, why=why)


def _consumer(session_s: float, why: str) -> Membership:
    return Membership(client={"group_protocol": "consumer"}, session_s=session_s, why=why)
