"""How long compaction leaves tombstones in a topic."""

from __future__ import annotations

import math

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource

from ops.kafka import answer
from schemas.errors import OffsetsLostError


def retention_s(client: AdminClient, topic: str, where: str, timeout_s: float = 15) -> float:
    """`delete.retention.ms`, in seconds; without end where nothing is compacted. Raises a `TidemarkError`."""
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    asked = client.describe_configs([resource], request_timeout=timeout_s)[resource]
    found = answer(asked, timeout_s, where)
    if "compact" not in found["cleanup.policy"].value.split(","):
        return math.inf
    return int(found["delete.retention.ms"].value) / 1000


def too_old(where: str, *, behind_s: float, limit_s: float, hint: str) -> OffsetsLostError:
    """The error for unread records that were published so long ago; `where` names the first that is there."""
    return OffsetsLostError(
        f"the next unread record is {behind_s:.0f} s old, or one before it was, which is gone; deletes older than "
        f"{limit_s:.0f} s may be gone",
        where=where,
        hint=hint,
    )
