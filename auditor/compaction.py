"""For how long a topic keeps every record, whatever comes after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from confluent_kafka.admin._config import ConfigResource

from auditor.run_context import Context
from ops.kafka import admin, answer
from schemas.errors import InconclusiveError

_TIMEOUT_S = 15
_FOREVER = timedelta(days=3650)


def untouched(context: Context, topics: Sequence[str]) -> timedelta:
    """The shortest time of these topics. Raises `InconclusiveError` if one of them may lose records at once."""
    shortest = _FOREVER
    for topic, values in _configs(context, topics):
        for name, policy in (("min.compaction.lag.ms", "compact"), ("retention.ms", "delete")):
            if policy not in values["cleanup.policy"] or int(values[name]) < 0:
                continue
            kept = timedelta(milliseconds=min(int(values[name]), int(_FOREVER.total_seconds()) * 1000))
            if not kept:
                raise InconclusiveError(
                    f"topic {topic} has {name} = 0: what is missing from it may have been removed",
                    hint="Compare with `--against mysql`.",
                )
            shortest = min(shortest, kept)
    return shortest


def by_time(context: Context, topic: str) -> bool:
    """True if Kafka removes its oldest records for their age alone, as `untouched` counts it."""
    [(_, values)] = _configs(context, [topic])
    return "delete" in values["cleanup.policy"] and int(values["retention.ms"]) >= 0 > int(values["retention.bytes"])


def _configs(context: Context, topics: Sequence[str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    where = context.settings.kafka.bootstrap_servers
    resources = [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in topics]
    if not resources:
        return
    client = admin(context.settings.kafka, context.client_id)
    for resource, future in client.describe_configs(resources, request_timeout=_TIMEOUT_S).items():
        found = answer(future, _TIMEOUT_S, where)
        yield resource.name, {name: entry.value or "" for name, entry in found.items()}
