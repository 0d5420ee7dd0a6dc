"""What to do when a table's index has to be built anew from its topic."""

from __future__ import annotations


def rebuild(*, group: str, topic: str, index: str) -> str:
    """The way to rebuild an index; several lines."""
    return (
        "Stop the sinks, then build the index anew from its topic: delete the index and the group's offsets, start.\n"
        f"DELETE /{index}\n"
        f"kafka-consumer-groups.sh --delete-offsets --group {group} --topic {topic}"
    )
