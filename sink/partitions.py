"""How many partitions a topic that is not tidemark's had when its index was made; noted in the index's `_meta`.

The versions of its documents are offsets, which grow along a partition. Once keys have moved to another one, an older
event can have the higher version, in an index that is built anew as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.errors import TopicMismatchError

KEY = "partitions"  # in `_meta.tidemark`


def noted(topic_id: str, count: int) -> dict[str, Any]:
    """What is to be noted."""
    return {KEY: {"topic_id": topic_id, "count": count}}


def check(about: Mapping[str, Any], topic: str, topic_id: str, count: int) -> None:
    """Raise `TopicMismatchError` if partitions were added; `about`: the index's `_meta.tidemark`.

    A topic that was made anew begins anew.
    """
    known = about.get(KEY)
    if known and known["topic_id"] == topic_id and count > known["count"]:
        raise TopicMismatchError(
            f"{topic} has {count} partitions, and had {known['count']}: where a key has moved, offsets do not tell its "
            "older events from its newer ones",
            where=topic,
            hint="Let Debezium take a new snapshot into a new topic. The index cannot be built from this one.",
        )
