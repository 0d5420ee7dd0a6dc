"""A table as MySQL shows it: its columns, its key, its rows in chunks or by key. Values are rendered by SQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from auditor import mysql_key
from auditor.mysql_server import MysqlServer
from auditor.mysql_types import SqlColumn
from auditor.page import Page, TooLargeError
from schemas.errors import InconclusiveError
from schemas.key import document_id, kafka_key, key_text

_FIRST = 100
_CHUNK = 1000
_CHUNK_BYTES = 4 << 20
_MOST_BYTES = 16 << 20  # where rows grow along the key

_COLUMNS = (
    "SELECT column_name, data_type, column_type, character_set_name FROM information_schema.columns "
    "WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position"
)
_KEY = (
    "SELECT column_name FROM information_schema.statistics "
    "WHERE table_schema = %s AND table_name = %s AND index_name = 'PRIMARY' ORDER BY seq_in_index"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlRow:
    """`values`: column -> value as a document should have it; `raw`: column -> base64 of text in odd character sets."""

    id: str
    key: str
    values: dict[str, Any]
    raw: dict[str, str | None]


class MysqlTable:
    """One table. `captured`: the columns that events have. One that was dropped has no rows, and no column."""

    def __init__(self, server: MysqlServer, db: str, name: str, captured: Sequence[str]) -> None:
        self._server = server
        self._db = db
        self._name = name
        self.layout = self.columns()
        keys = [name for (name,) in self._server.ask(_KEY, (db, name))]
        self.shown = [column for column in self.layout if column.name in captured]
        by_name = {column.name: column for column in self.layout}
        self.key = [by_name[name] for name in keys]
        self._dropped = not self.layout and server.has_no(self._quoted)
        if not self._dropped and (not self.key or not {column.name for column in self.key} <= set(captured)):
            raise InconclusiveError(
                f"table {db}.{name} has no primary key, or another one than was captured",
                hint="Name the tables that are to be audited: `tidemark audit run --against mysql db.table …`.",
            )
        self._selected = "" if self._dropped else self._select()

    def columns(self) -> list[SqlColumn]:
        """The columns as they are now."""
        return [
            SqlColumn(name=name, kind=kind.lower(), full=full.lower(), charset=(charset or "").lower())
            for name, kind, full, charset in self._server.ask(_COLUMNS, (self._db, self._name))
        ]

    def _select(self) -> str:
        values = [column.select(mariadb=self._server.mariadb) for column in self.shown]
        raw = [raw for column in self.shown if (raw := column.raw()) is not None]
        cursors = [mysql_key.cursor(column) for column in self.key]
        return f"SELECT {', '.join([*values, *raw, *cursors])} FROM {self._quoted}"  # noqa: S608  quoted above

    @property
    def _quoted(self) -> str:
        return ".".join("`" + name.replace("`", "``") + "`" for name in (self._db, self._name))

    def chunks(self) -> Iterator[list[SqlRow]]:
        """All rows in the order of the key, each chunk as it is when it is read."""
        if self._dropped:
            return
        page, at = Page(first=_FIRST, most=_CHUNK, size_bytes=_CHUNK_BYTES), None
        order = ", ".join(column.quoted for column in self.key)
        while True:
            where = f" WHERE {mysql_key.beyond(self.key, at)}" if at else ""
            rows, size_bytes, whole = self._server.page(
                f"{self._selected}{where} ORDER BY {order} LIMIT {page.rows}", _MOST_BYTES
            )
            if rows:
                yield [self._row(row) for row in rows]
            if whole and len(rows) < page.rows:
                return
            at = rows[-1][-len(self.key) :]
            page.took(len(rows), size_bytes)

    def by_keys(self, keys: Sequence[tuple[str, Sequence[Any]]]) -> dict[str, SqlRow]:
        """The rows of these keys, given as (`_id`, its values), by `_id`; a collation's other equals are left out.

        Raises `TooLargeError` if several are too large to be held at once.
        """
        if self._dropped:
            return {}
        wanted = {id_: condition for id_, values in keys if (condition := mysql_key.equals(self.key, values))}
        if not wanted:
            return {}
        sql = f"{self._selected} WHERE ({') OR ('.join(wanted.values())})"
        rows, _, whole = self._server.page(sql, _MOST_BYTES) if len(keys) > 1 else (self._server.ask(sql), 0, True)
        if not whole:
            raise TooLargeError(f"rows of {self._db}.{self._name} are too large to be read together")
        return {row.id: row for row in map(self._row, rows) if row.id in wanted}

    def _row(self, cells: Sequence[Any]) -> SqlRow:
        values = {column.name: column.value(cell) for column, cell in zip(self.shown, cells, strict=False)}
        odd = [column.name for column in self.shown if column.raw() is not None]
        raw = dict(zip(odd, cells[len(values) :], strict=False))
        text = key_text(kafka_key({column.name: values[column.name] for column in self.key}))
        return SqlRow(id=document_id(text), key=text, values=values, raw=raw)

    def key_values(self, key: str) -> list[Any] | None:
        """The values of a key's text; None if it is no key of this table."""
        if self._dropped:
            return [key]
        if len(self.key) > 1:
            try:
                found = orjson.loads(key)
            except ValueError:
                return None
            return found if isinstance(found, list) and len(found) == len(self.key) else None
        if self.key[0].kind in ("bit", "set"):
            try:
                return [orjson.loads(key)]
            except ValueError:
                return None
        return [float(key)] if self.key[0].kind in ("float", "double") and _is_number(key) else [key]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
