"""The position and the claim of a source, in `<name>.__positions`: read at every start, written by the publisher."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import orjson

from ops.control import ControlReader
from ops.settings import Settings
from schemas.errors import FencedError, FormatError, PositionLostError
from schemas.names import positions_topic
from schemas.position import Position
from schemas.table import FORMAT, check_format

POSITION_KEY = b'"position"'
CLAIM_KEY = b'"claim"'
_READ_S = 30
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What the topic held at its end: the last committed position, and who claimed the source last, and when.

    `unclean`: a takeover has found transactions without an end, and ended them.
    """

    position: Position | None = None
    claimant: str = ""
    claimed_by: str = ""
    claimed_ms: int = field(default=0, compare=False)
    unclean: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A process as a claimant; the same for all of its sessions."""

    id: str
    label: str

    @classmethod
    def of_this_process(cls, purpose: str = "") -> Instance:
        """`purpose`: for people, where it is not `cdc run`."""
        label = f"{socket.gethostname()}, process {os.getpid()}"
        return cls(id=uuid.uuid4().hex, label=f"{label}, {purpose}" if purpose else label)

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, "instance": self.id, "label": self.label, "ts_ms": time.time_ns() // 1_000_000}


def _claim(record: Any) -> Stored:
    check_format(record, "claim record")
    return Stored(claimant=record["instance"], claimed_by=record["label"], claimed_ms=int(record.get("ts_ms", 0)))


class PositionStore:
    """Reads what is committed. Writing is the publisher's: it goes with the events, in one transaction."""

    def __init__(self, settings: Settings, instance: Instance) -> None:
        self._kafka = settings.kafka
        self._source = settings.source.name
        self._instance = instance
        self._followed: set[tuple[str, int]] = set()
        self._older: set[str] = set()  # instances; until this one has claimed the source
        self._claimed = False
        self.topic = positions_topic(settings.source.name)

    def read(self, wanted: Callable[[], bool] = lambda: True, *, over_damage: bool = False) -> Stored:
        """The last record of each key, from the beginning to the end now. Raises `FormatError`, `UnreachableError`.

        `over_damage`: a record that cannot be read counts as none, for somebody who is about to replace it.
        """
        last: dict[bytes | None, bytes | None] = {}
        with ControlReader(self._kafka, f"{self._source}-positions", self.topic) as reader:
            for message in reader.to_end(timeout_s=_READ_S, wanted=wanted):
                last[message.key()] = message.value()
        position = self._parsed(last.get(POSITION_KEY), self._position, over_damage=over_damage)
        claim = self._parsed(last.get(CLAIM_KEY), _claim, over_damage=over_damage) or Stored()
        return replace(claim, position=position)

    def _parsed(self, value: bytes | None, parse: Callable[[Any], _Found], *, over_damage: bool) -> _Found | None:
        try:
            return None if value is None else parse(orjson.loads(value))
        except FormatError:
            if over_damage:
                return None
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if over_damage:
                return None
            raise FormatError(
                f"a record of {self.topic} cannot be read: {type(error).__name__}: {error}",
                where=self._kafka.bootstrap_servers,
                hint="Only tidemark may write to this topic. Write back the very last good record; or say "
                "where to go on: `tidemark cdc position reset --to …`, and rewrite the rows that changed in between.",
            ) from None

    def claim_of(self, value: bytes, *, over_damage: bool = False) -> Stored:
        """A claim record's, without a position. Raises `FormatError`."""
        return self._parsed(value, _claim, over_damage=over_damage) or Stored()

    def position_of(self, value: bytes) -> Position:
        """A position record's. Raises `FormatError`."""
        found = self._parsed(value, self._position, over_damage=False)
        assert found is not None  # noqa: S101  a value was given
        return found

    def _position(self, record: Any) -> Position:
        position = Position.from_json(record)
        if strangers := [topic for topic in position.partitions if not topic.startswith(f"{self._source}.")]:
            raise ValueError(f"it is a position of another source, with topic {strangers[0]}")
        return position

    def follow(self, stored: Stored) -> None:
        """From here on this claim is no news: it was there before that of this process."""
        # Kafka answers a commit before it shows it, so ours may not be seen for a while. The same one may claim again.
        self._followed.add((stored.claimant, stored.claimed_ms))
        if not self._claimed:
            self._older.add(stored.claimant)  # fenced before it could see a claim of ours, it claims once more

    def claimed(self) -> None:
        """The claim of this process is committed: who claims from here on, even one that it followed, is newer."""
        self._claimed = True
        self._older.clear()

    def is_ours(self, stored: Stored) -> bool:
        """True unless somebody has claimed the source after those whom this process followed, and is not itself."""
        if stored.claimant == self._instance.id or stored.claimant in self._older:
            return True
        return (stored.claimant, stored.claimed_ms) in self._followed

    def fenced(self, stored: Stored) -> FencedError | PositionLostError:
        """The error of an instance that is no longer the owner."""
        if not stored.claimant:
            return self.gone()
        return FencedError(
            f"another instance has taken over source `{self._source}`: {stored.claimed_by}",
            where=f"topic {self.topic} on {self._kafka.bootstrap_servers}",
            hint="Run one `tidemark cdc run` per [source] name; this one ends, the newer one goes on. After a "
            "`tidemark cdc position reset` start it again.",
        )

    def gone(self) -> PositionLostError:
        """The error of an instance that has claimed the source, and finds no claim at all."""
        return PositionLostError(
            "the claim of this process is gone from Kafka, and nobody else's is there: somebody has deleted the topic, "
            "or its records",
            where=f"topic {self.topic} on {self._kafka.bootstrap_servers}",
            hint="Find out who did it, and whether the tables' topics are whole. Restore the topic from a backup; or "
            "say where to go on: `tidemark cdc position reset --to …`, and rewrite the rows that changed between the "
            "last event and there.",
        )
