"""The shard that a document is on, where its table's configuration says so: by columns of a composite key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from schemas.key import HASHED

_EMPTY = '""'  # Elasticsearch takes an empty routing for none


class Routing:
    """What an `_id` implies: whoever names a document knows its routing. `columns`: some of the `primary_key`."""

    __slots__ = ("_length", "_places")

    def __init__(self, columns: Sequence[str], primary_key: Sequence[str]) -> None:
        self._length = len(primary_key)
        self._places = [place for place, name in enumerate(primary_key) if name in columns]

    def of(self, id_: str) -> str:
        """One column's value as text, several as a compact JSON array.

        The `_id` itself of one that is a hash, or that is no key of these columns: the primary key was another one.
        """
        values = self._values(id_)
        if values is None:
            return id_
        if len(self._places) == 1:
            return _text(values[self._places[0]]) or _EMPTY
        return orjson.dumps([values[place] for place in self._places]).decode()

    def _values(self, id_: str) -> list[Any] | None:
        if id_.startswith(HASHED):
            return None
        try:
            values = orjson.loads(id_)
        except orjson.JSONDecodeError:
            return None
        return values if isinstance(values, list) and len(values) == self._length else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
