"""What to do when a table's index has to be built anew from its topic, or the topic is gone."""

from __future__ import annotations


def rebuild(table: str) -> str:
    """The way to rebuild the index of `database.table`."""
    return (
        f"tidemark sink rebuild {table}\n"
        "builds a new index from the topic beside the old one, and sets the offsets of a sink that has stopped."
    )


def deleted_topic(table: str) -> str:
    """The two ways on from a topic that is gone."""
    return (
        "If it was deleted on purpose, start the sink again: it goes on with the other tables.\n"
        "If not, create it again as cdc says when it starts, have every row of "
        f"{table} published again, by an UPDATE that changes each one, and then\n"
        f"{rebuild(table)}"
    )
