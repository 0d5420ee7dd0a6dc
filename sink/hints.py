"""What to do when a table's index has to be built anew from its topic."""

from __future__ import annotations


def rebuild(table: str) -> str:
    """The way to rebuild the index of `database.table`."""
    return (
        f"tidemark sink rebuild {table}\n"
        "builds a new index from the topic beside the old one, and sets the offsets of a sink that has stopped."
    )
