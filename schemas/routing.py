"""The shard that a document is on, where its table's configuration says so: by columns of a composite key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from schemas.key import HASHED

_EMPTY = '""'  # Elasticsearch takes an empty routing for none


class Routing:
    """What an `_id` implies: whoever names a document knows its routing. `columns`: some of the `primary_key`."""

    __slots__ = ("_places",)

    def __init__(self, columns: Sequence[str], primary_key: Sequence[str]) -> None:
        self._places = [place for place, name in enumerate(primary_key) if name in columns]

    def of(self, id_: str) -> str:
        """One column's value as text, several as a compact JSON array; of an `_id` that is a hash, the `_id`."""
        if id_.startswith(HASHED):
            return id_
        values = orjson.loads(id_)
        if len(self._places) == 1:
            return _text(values[self._places[0]]) or _EMPTY
        return orjson.dumps([values[place] for place in self._places]).decode()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
