"""For how long a topic keeps every record, whatever comes after it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from confluent_kafka.admin._config import ConfigResource

from auditor.run_context import Context
from ops.kafka import admin, answer
from schemas.errors import InconclusiveError

_TIMEOUT_S = 15
_FOREVER = timedelta(days=3650)


def untouched(context: Context, topics: Sequence[str]) -> timedelta:
    """The shortest time of these topics. Raises `InconclusiveError` if one of them may lose records at once."""
    where = context.settings.kafka.bootstrap_servers
    resources = [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in topics]
    if not resources:
        return _FOREVER
    client = admin(context.settings.kafka, context.client_id)
    shortest = _FOREVER
    for resource, future in client.describe_configs(resources, request_timeout=_TIMEOUT_S).items():
        values = {name: entry.value or "" for name, entry in answer(future, _TIMEOUT_S, where).items()}
        for name, policy in (("min.compaction.lag.ms", "compact"), ("retention.ms", "delete")):
            if policy not in values["cleanup.policy"] or int(values[name]) < 0:
                continue
            kept = timedelta(milliseconds=min(int(values[name]), int(_FOREVER.total_seconds()) * 1000))
            if not kept:
                raise InconclusiveError(
                    f"topic {resource.name} has {name} = 0: what is missing from it may have been removed",
                    hint="Compare with `--against mysql`.",
                )
            shortest = min(shortest, kept)
    return shortest
