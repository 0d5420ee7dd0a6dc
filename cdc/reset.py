"""Sets the position by hand, after somebody decided what to do about a gap."""

from __future__ import annotations

import time
from dataclasses import replace

from cdc.definitions import read_layouts
from cdc.inventory import tables
from cdc.own_topics import OwnTopics
from cdc.position_store import Instance, PositionStore, Stored
from cdc.publisher import Publisher
from cdc.route import TableFilter
from cdc.server import Server, asking
from cdc.start import first_position
from cdc.takeover import Takeover
from cdc.topics import Topics
from ops.mysql import connect
from ops.settings import Settings
from ops.stop import Stop
from schemas.position import Position

_SHOWN_S = 30
_POLL_S = 0.1


def reset(settings: Settings, to: str) -> Stored:
    """Store the position that `to` names, with a new epoch of seq, and give what is stored then.

    Takes the source over as a start does, so that a running cdc cannot overwrite it.
    """
    topics, instance, stop = Topics(settings.kafka, settings.source.name), Instance.of_this_process(), Stop()
    store = PositionStore(settings, instance)
    topics.ensure_control()
    with Publisher(settings, store, instance, stop) as publisher:
        takeover = Takeover(
            settings=settings, publisher=publisher, store=store, topics=topics,
            wanted=lambda: not stop.requested, over_damage=True,
        )  # fmt: skip
        old = takeover.run().position
        connection = connect(settings.source)
        try:
            with asking(settings.source.where):
                found = tables(connection, TableFilter(settings.cdc.tables, settings.cdc.exclude))
                own = OwnTopics(settings, topics, found=found, known=read_layouts(settings), position=old)
                highest = max(old.seq if old else 0, own.highest_seq())
                position = first_position(connection, Server.ask(connection), to, highest_seq=highest)
        finally:
            connection.close()
        position = replace(position, partitions=old.partitions if old else {})
        publisher.store(position)
    _await_shown(store, position, stop)
    return Stored(position=position, claimant=instance.id, claimed_by=instance.label)


def _await_shown(store: PositionStore, position: Position, stop: Stop) -> None:
    """Wait until readers find it, so that `position show` tells it. It stands, whether they do in time or not."""
    # Kafka answers a commit before it has written the end of the transaction into the partition.
    deadline = time.monotonic() + _SHOWN_S
    while time.monotonic() < deadline:
        shown = store.read(over_damage=True).position
        if shown is not None and shown.seq >= position.seq:
            return
        stop.wait(_POLL_S)
