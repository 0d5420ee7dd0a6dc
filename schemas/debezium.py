"""Records that Debezium's MySQL connector wrote, with Kafka Connect's JSON converter: with schemas, or without.

They have no seq: the version of a document is (offset + 1) << 10, which grows along a partition. With schemas values
are brought into the form that tidemark's own events have; without, nobody can tell a date from a number, and they stay
as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from schemas.debezium_types import Convert, column_of, converter_of
from schemas.errors import FormatError
from schemas.key import row_key_text
from schemas.record import Kind, Read
from schemas.table import Column

_SEQ_BITS = 10
_UPSERTS = frozenset("cur")
_WITH_SCHEMA = b'{"schema":'
_PAYLOAD = b',"payload":'  # no schema has this in a string, where quotes are escaped
_KNOWN_LIMIT = 1000

Converters = tuple[tuple[str, Convert], ...]


def seq_of(offset: int) -> int:
    """What takes the place of a seq."""
    return (offset + 1) << _SEQ_BITS


class DebeziumReader:
    """Reads the records of one topic; what a schema asks for is compiled once. For one thread, or several."""

    def __init__(self) -> None:
        self._rows: dict[bytes, Converters] = {}
        self._keys: dict[bytes, Converters] = {}

    def read(
        self, key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, Any]] | None, offset: int
    ) -> Read:
        """Read one record. Raises `FormatError` for what Debezium cannot have written, or nobody can apply."""
        del headers
        try:
            seq = seq_of(offset)
            if value is None:
                return Read(Kind.DELETE, self._key_text(key), seq, None)
            event, converters = self._envelope(value)
            op, source = event["op"], event["source"]
            int(source["ts_ms"])
            source["seq"], source["table_version"] = seq, 1
            if op == "t":
                return Read(Kind.BARRIER, "", seq, event, seq)
            if op == "d":
                return Read(Kind.DELETE, self._key_text(key), seq, event)
            if op not in _UPSERTS:
                raise ValueError(f"op {op!r}")  # noqa: TRY301  one exit for all that is wrong with a record
            _converted(event["after"], converters)
            return Read(Kind.UPSERT, self._key_text(key), seq, event)
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
            raise FormatError(
                f"not a change event of Debezium: {type(error).__name__}: {error}",
                hint='[sink] format = "debezium" reads whole envelopes (no ExtractNewRecordState) in JSON.',
            ) from None

    def _envelope(self, value: bytes) -> tuple[dict[str, Any], Converters]:
        schema, payload = _split(value)
        if schema is None:
            return orjson.loads(payload), ()
        known = self._rows.get(schema)
        if known is None:
            known = _kept(self._rows, schema, compiled(row_fields(orjson.loads(schema))))
        return orjson.loads(payload), known

    def _key_text(self, key: bytes | None) -> str:
        if key is None:
            raise ValueError("no key")
        schema, payload = _split(key)
        columns = orjson.loads(payload)
        if schema is None:
            return row_key_text(columns)
        known = self._keys.get(schema)
        if known is None:
            known = _kept(self._keys, schema, compiled(orjson.loads(schema)["fields"]))
        return row_key_text(_converted(columns, known))


def _kept(known: dict[bytes, Converters], schema: bytes, made: Converters) -> Converters:
    if len(known) >= _KNOWN_LIMIT:
        known.clear()
    known[schema] = made
    return made


def _split(raw: bytes) -> tuple[bytes | None, bytes]:
    """Schema and payload, each as JSON; None for a record without a schema."""
    if raw.startswith(_WITH_SCHEMA):
        end = raw.find(_PAYLOAD)
        if end > 0:
            return raw[len(_WITH_SCHEMA) : end], raw[end + len(_PAYLOAD) : -1]
    return None, raw


def _converted(row: dict[str, Any], converters: Converters) -> dict[str, Any]:
    if type(row) is not dict:
        raise TypeError("no row")
    for name, convert in converters:
        value = row.get(name)
        if value is not None:
            row[name] = convert(value)
    return row


def compiled(fields: Iterable[Mapping[str, Any]]) -> Converters:
    """What is to be done to which fields of a struct."""
    made = ((field["field"], converter_of(field)) for field in fields)
    return tuple((name, convert) for name, convert in made if convert is not None)


def row_fields(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The fields of a row, of an envelope's schema."""
    images = {field["field"]: field for field in schema["fields"] if field["type"] == "struct"}
    fields: list[Mapping[str, Any]] = images["after"]["fields"]
    return fields


def layout(key: bytes | None, value: bytes | None) -> tuple[tuple[Column, ...], tuple[str, ...]] | None:
    """Columns and key columns as a record tells them, no columns without a schema; None if it tells nothing."""
    if key is None or value is None:
        return None
    names = tuple(orjson.loads(_split(key)[1]))
    schema, _ = _split(value)
    if schema is None:
        return (), names
    return tuple(column_of(field) for field in row_fields(orjson.loads(schema))), names
