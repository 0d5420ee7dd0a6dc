"""Sets the position by hand, after somebody decided what to do about a gap."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

from cdc.definitions import read_layouts
from cdc.inventory import tables
from cdc.own_topics import OwnTopics
from cdc.position_store import Instance, PositionStore, Stored
from cdc.publisher import Publisher
from cdc.route import TableFilter
from cdc.server import Connection, Server, asking
from cdc.start import first_position
from cdc.takeover import Takeover
from cdc.topics import Topics
from ops.log import logger
from ops.mysql import connect
from ops.settings import Settings
from ops.stop import Stop
from schemas.errors import GivenUpError, SlowCommitError
from schemas.position import Position

_log = logger(__name__)

_FENCED_S = 30
_SHOWN_S = 30
_POLL_S = 0.1
_AGAIN = (GivenUpError, SlowCommitError)  # the second: with short transactions, and a Kafka that took its time


def reset(settings: Settings, to: str) -> Stored:
    """Store the position that `to` names, with a new epoch of seq, and give what is stored then.

    Takes the source over as a start does, so that a running cdc cannot overwrite it.
    """
    topics, stop = Topics(settings.kafka, settings.source.name), Stop()
    instance = Instance.of_this_process("position reset")
    store = PositionStore(settings, instance)
    with closing(connect(settings.source)) as connection:
        # First of all: what fails from the takeover on has stopped a running cdc for nothing.
        with asking(settings.source.where):
            first_position(connection, Server.ask(connection), to, highest_seq=0)
        topics.ensure_control()

        attempts: list[Publisher] = []

        def once() -> Position:
            with Publisher(settings, store, instance, stop) as publisher:
                attempts.append(publisher)
                takeover = Takeover(
                    settings=settings, publisher=publisher, store=store, topics=topics,
                    wanted=lambda: not stop.requested, over_damage=True,
                )  # fmt: skip
                position = _position(settings, topics, connection, takeover.run().position, to)
                publisher.store(position)
            return position

        with _telling_of_a_running_cdc(attempts):
            position = _outlasting_a_running_cdc(once)
    _await_shown(store, position, stop)
    return Stored(position=position, claimant=instance.id, claimed_by=instance.label)


def _outlasting_a_running_cdc(once: Callable[[], Position]) -> Position:
    # One that we fence looks whose claim stands. Until ours does, it makes a new producer, and that fences us.
    deadline = time.monotonic() + _FENCED_S
    while True:
        try:
            return once()
        except _AGAIN:
            if time.monotonic() > deadline:
                raise


@contextmanager
def _telling_of_a_running_cdc(attempts: Sequence[Publisher]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if any(publisher.fences for publisher in attempts):
            _log.warning(
                "the position may not be set; a cdc that was running may have been stopped by this: look after it",
                action="reset_failed",
            )
        raise


def _position(settings: Settings, topics: Topics, connection: Connection, old: Position | None, to: str) -> Position:
    with asking(settings.source.where):
        found = tables(connection, TableFilter(settings.cdc.tables, settings.cdc.exclude))
        own = OwnTopics(settings, topics, found=found, known=read_layouts(settings), position=old)
        highest = max(old.seq if old else 0, own.highest_seq())
        position = first_position(connection, Server.ask(connection), to, highest_seq=highest)
    return replace(position, partitions=old.partitions if old else {})


def _await_shown(store: PositionStore, position: Position, stop: Stop) -> None:
    """Wait until readers find it, so that `position show` tells it. It stands, whether they do in time or not."""
    # Kafka answers a commit before it has written the end of the transaction into the partition.
    deadline = time.monotonic() + _SHOWN_S
    while time.monotonic() < deadline:
        shown = store.read(over_damage=True).position
        if shown is not None and shown.seq >= position.seq:
            return
        stop.wait(_POLL_S)
    _log.warning(
        f"Kafka has taken the position, and does not show it in {_SHOWN_S} s: the next start of cdc sees to that",
        action="position_not_shown",
    )
