"""From an event to the document that its table's index should have: the one place where it is decided.

The sink writes it, a rebuild writes it again, the audit expects it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from schemas import transform
from schemas.condition import Condition
from schemas.document import field_name
from schemas.errors import DocumentError
from schemas.record import Reader, read
from schemas.routing import Routing
from schemas.row_text import row_text
from schemas.table import folded_column

_NAMES_KEPT = 10_000  # a transform may make up names without end


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is configured of a table's documents; by default they are its rows.

    `include` None: all columns. `rename`: column -> field. `types`, `analyzers`: column -> mapping, analyzer's name.
    All conditions of `filter` have to hold. `transform`: `module:function`. `routing`: columns of the primary key.
    """

    include: frozenset[str] | None = None
    exclude: frozenset[str] = frozenset()
    rename: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    analyzers: Mapping[str, str] = field(default_factory=dict)
    filter: tuple[Condition, ...] = ()
    transform: str = ""
    routing: tuple[str, ...] = ()

    @property
    def mark(self) -> str:
        """Tells rules apart that make other documents of the same events; empty where documents are the rows.

        What a transform does with an event is known only by its name.
        """
        if self.include is None and not (self.exclude or self.rename or self.filter or self.transform):
            return ""
        told = [
            None if self.include is None else sorted(map(folded_column, self.include)),
            sorted(map(folded_column, self.exclude)),
            sorted((folded_column(column), name) for column, name in self.rename.items()),
            [(condition.column, condition.op, condition.value) for condition in self.filter],
            self.transform,
        ]
        return hashlib.sha256(orjson.dumps(told)).hexdigest()[:16]

    def field_of(self, column: str) -> str | None:
        """The field that a column is in, None if it is in none. Columns have no case, as in MySQL."""
        folded = folded_column(column)
        if self.include is not None and all(folded_column(name) != folded for name in self.include):
            return None
        if any(folded_column(name) == folded for name in self.exclude):
            return None
        for name, renamed in self.rename.items():
            if folded_column(name) == folded:
                return renamed
        return field_name(column)


class Shape:
    """A table's rules, compiled. `plain`: the document is the row. `routed`: every `_id` has a routing.

    `copied`: if there is a document, it is the row, and had better be as the event has it, digit for digit.
    `selective`: there may be no document although there is a row. `read` reads the topic's records;
    `foreign`: they are not tidemark's.
    """

    __slots__ = (
        "_fields",
        "_holds",
        "_routing",
        "_transform",
        "copied",
        "foreign",
        "plain",
        "read",
        "routed",
        "rules",
        "selective",
    )

    def __init__(
        self, rules: Rules, primary_key: Sequence[str] = (), reader: Reader = read, *, exact: bool = False
    ) -> None:
        """`exact`: rows may hold numbers that are lost on the way through Python: JSON columns.

        Raises `ConfigError` if there is no such transform.
        """
        self.rules = rules
        self.read = reader
        self.foreign = reader is not read
        self._routing = Routing(rules.routing, primary_key) if rules.routing else None
        self.routed = bool(rules.routing)
        self._holds = [condition.compiled() for condition in rules.filter]
        self._transform = transform.load(rules.transform) if rules.transform else None
        self._fields: dict[str, str | None] = {}
        self.selective = bool(self._holds or self._transform)
        whole = rules.include is None and not (rules.exclude or rules.rename or self._transform)
        self.plain = whole and not self.selective
        self.copied = exact and whole and not self.foreign

    def routing(self, id_: str) -> str | None:
        """The routing that goes with an `_id`, in every request that names it; None if there is none."""
        return None if self._routing is None else self._routing.of(id_)

    def fields(self, event: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The document that an event (the envelope) asks for, without `_cdc`; None: there must be none.

        First the filter sees the row, then the transform the event, then what is left is renamed. The transform may
        change the event that it is given. Raises `DocumentError` for an event of which no document can be made.
        """
        row: Mapping[str, Any] | None = event.get("after")
        if row is None:
            return None
        for holds in self._holds:
            if not holds(row):
                return None
        if self._transform is not None:
            row = self._transform(event)
            if row is None:
                return None
        return self._renamed(row)

    def json(self, event: Mapping[str, Any], value: bytes | None = None) -> bytes | None:
        """The same as JSON. `value`: the event's text, where the row is to be copied from it: no digit is lost then.

        Raises `DocumentError` also for what JSON cannot hold.
        """
        fields = self.fields(event)
        if fields is None:
            return None
        if value is not None and fields.keys() == event["after"].keys() and (text := row_text(value)) is not None:
            return text
        try:
            return orjson.dumps(fields)
        except TypeError as error:
            raise transform.failure(self.rules.transform, f"returned what is no JSON: {error}") from error

    def exists(self, event: Mapping[str, Any]) -> bool:
        """False if the event leaves no document; true also if none can be made of it: then it is a dead letter."""
        if not self.selective:
            return event.get("after") is not None
        try:
            return self.json(event) is not None
        except DocumentError:
            return True

    def _renamed(self, row: Mapping[str, Any]) -> dict[str, Any]:
        names = self._fields
        if not names.keys() >= row.keys():
            if len(names) > _NAMES_KEPT:
                names = self._fields = {}  # several threads look up: what they have in hand stays as it is
            names.update({column: self.rules.field_of(column) for column in row})
        kept = [(name, value) for column, value in row.items() if (name := names[column]) is not None]
        made = dict(kept)
        if len(made) < len(kept):
            raise DocumentError(
                f"several columns end in one field: {twice([name for name, _ in kept])}", kind="fields_exception"
            )
        return made


PLAIN = Shape(Rules())


def twice(names: Sequence[str]) -> str:
    """Those that come more than once."""
    return ", ".join(sorted({name for name in names if names.count(name) > 1}))
