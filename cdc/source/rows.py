"""Row images to values: one decoder is compiled per layout, and is used for all of its rows. Bytes in, values out."""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import orjson

from cdc.source import charset, geometry, jsonb, numeric, temporal
from cdc.source.protection import MASK, Policy, TableProtection
from cdc.source.refusal import hidden, partial_image
from cdc.source.tablemap import Code, WireColumn
from cdc.source.width import passing
from cdc.source.wire import Event, EventType, packed
from schemas.errors import TidemarkError, UndecodableError
from schemas.table import Column, ColumnType

RowOp = Literal["c", "u", "d"]
Values = dict[str, Any]
_Reader = Callable[[bytes, int], tuple[Any, int]]

OPS: dict[int, RowOp] = {
    EventType.WRITE_ROWS_V1: "c",
    EventType.UPDATE_ROWS_V1: "u",
    EventType.DELETE_ROWS_V1: "d",
    EventType.WRITE_ROWS: "c",
    EventType.UPDATE_ROWS: "u",
    EventType.DELETE_ROWS: "d",
}
NO_TABLE = 0xFFFFFF  # a rows event without rows, there only for its end-of-statement flag
_STATEMENT_END = 1


class RowsHead(NamedTuple):
    """The head of a rows event; `at`: where the columns begin."""

    table_id: int
    statement_end: bool
    at: int


class RowChange(NamedTuple):
    """One row. `undecodable`: columns kept as `base64:…`, in column order."""

    before: Values | None
    after: Values | None
    undecodable: tuple[str, ...]


def parse_head(event: Event) -> RowsHead:
    """The head of a rows event of either version; the second has room for extra data."""
    body = event.body
    extra = int.from_bytes(body[8:10], "little") if event.type >= EventType.WRITE_ROWS else 0
    return RowsHead(int.from_bytes(body[:6], "little"), bool(body[6] & _STATEMENT_END), 8 + extra)


class RowDecoder:
    """Decodes the rows events of one layout."""

    def __init__(self, columns: tuple[WireColumn, ...], protection: TableProtection | None = None) -> None:
        self._undecodable: list[str] = []
        self._names = [wire.column.name for wire in columns]
        report = self._undecodable.append
        self._readers = [(wire.column.name, _protected(wire, protection) or _reader(wire, report)) for wire in columns]
        self._excluded = tuple(n for n in self._names if protection and protection.of(n) is Policy.EXCLUDE)
        self._protected = protection is not None
        self._bitmap_bytes = (len(columns) + 7) // 8
        self._all = (1 << len(columns)) - 1

    def rows(self, body: bytes, at: int, op: RowOp) -> Iterator[RowChange]:
        """The rows of one event, from where its head ends."""
        count, at = packed(body, at)
        if count != len(self._names):
            raise UndecodableError(f"a rows event has {count} columns, its table map {len(self._names)}")
        for _ in range(2 if op == "u" else 1):
            self._check_full(body[at : at + self._bitmap_bytes])
            at += self._bitmap_bytes
        yield from self._rows(body, at, op)

    def _rows(self, body: bytes, at: int, op: RowOp) -> Iterator[RowChange]:
        bad = self._undecodable
        end = len(body)
        while at < end:
            bad.clear()
            before = after = None
            if op != "c":
                before, at = self._image(body, at)
            if op != "d":
                after, at = self._image(body, at)
            if at > end:
                short = UndecodableError(f"a rows event ends {at - end} bytes before its last row does")
                raise hidden(short) if self._protected else short
            yield RowChange(before, after, self._named(bad) if bad else ())

    def _image(self, body: bytes, at: int) -> tuple[Values, int]:
        start = at + self._bitmap_bytes
        nulls = int.from_bytes(body[at:start], "little")
        at = start
        values: Values = {}
        name = ""
        try:
            for name, read in self._readers:
                if nulls & 1:
                    values[name] = None
                else:
                    values[name], at = read(body, at)
                nulls >>= 1
        except (IndexError, ValueError, struct.error, TidemarkError) as error:
            if self._protected:
                raise hidden(error, name) from None
            if isinstance(error, TidemarkError):
                raise
            raise UndecodableError(f"column {name} of a row cannot be decoded: {error!r}") from error
        for name in self._excluded:
            del values[name]
        return values, at

    def _check_full(self, bitmap: bytes) -> None:
        if int.from_bytes(bitmap, "little") & self._all != self._all:
            raise partial_image()

    def _named(self, bad: list[str]) -> tuple[str, ...]:
        return tuple(name for name in self._names if name in bad)


def base64_text(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).decode()


def _protected(wire: WireColumn, protection: TableProtection | None) -> _Reader | None:
    """How a protected column is read: what is excluded or masked is never decoded."""
    policy = protection.of(wire.column.name) if protection else None
    if policy is None or protection is None:
        return None
    if policy is not Policy.HASH:
        return passing(wire, MASK)
    key = protection.key
    if key is None:
        raise UndecodableError("a column to be hashed, and no key")
    read = _reader(wire, lambda _name: None)  # that its bytes are no text is nobody's to know
    of_value = key.of_value

    def read_hashed(body: bytes, at: int) -> tuple[Any, int]:
        value, at = read(body, at)
        return of_value(value), at

    return read_hashed


def _reader(wire: WireColumn, report: Callable[[str], None]) -> _Reader:
    """How one column is read: `(buffer, offset) -> (value, offset after it)`. `report` hears of undecodable text."""
    code, column = wire.code, wire.column
    if code in _INTEGERS:
        return _integer(*_INTEGERS[code][column.unsigned])
    if code in _FIXED:
        return _fixed(*_FIXED[code])
    if code in _FRACTIONAL:
        return _fractional(code, column.fsp)
    if code in (Code.ENUM, Code.SET):
        return (_enum if code is Code.ENUM else _set)(wire.size, column, report)
    if code is Code.BIT:
        return _bit(column.length)
    return _decimal(column) if code is Code.NEWDECIMAL else _prefixed(wire.size, _converter(column, report))


_INTEGERS = {
    Code.TINY: ((1, True), (1, False)),
    Code.SHORT: ((2, True), (2, False)),
    Code.INT24: ((3, True), (3, False)),
    Code.LONG: ((4, True), (4, False)),
    Code.LONGLONG: ((8, True), (8, False)),
}
_STRUCTS = {(1, True): "<b", (1, False): "<B", (2, True): "<h", (2, False): "<H", (4, True): "<i", (4, False): "<I",
            (8, True): "<q", (8, False): "<Q"}  # fmt: skip
_FIXED: dict[Code, tuple[int, Callable[[bytes], Any]]] = {
    Code.FLOAT: (4, numeric.float32),
    Code.DOUBLE: (8, numeric.float64),
    Code.DATE: (3, temporal.date_text),
    Code.NEWDATE: (3, temporal.date_text),
    Code.YEAR: (1, lambda raw: temporal.year(raw[0])),
    Code.TIMESTAMP: (4, temporal.old_timestamp_text),
    Code.DATETIME: (8, temporal.old_datetime_text),
    Code.TIME: (3, temporal.old_time_text),
}
_FRACTIONAL: dict[Code, tuple[int, Callable[[bytes, int], str]]] = {
    Code.DATETIME2: (5, temporal.datetime_text),
    Code.TIMESTAMP2: (4, temporal.timestamp_text),
    Code.TIME2: (3, temporal.time_text),
}


def _integer(size: int, signed: bool) -> _Reader:
    if (size, signed) not in _STRUCTS:
        return _fixed(size, lambda raw: int.from_bytes(raw, "little", signed=signed))
    unpack = struct.Struct(_STRUCTS[size, signed]).unpack_from
    return lambda body, at: (unpack(body, at)[0], at + size)


def _fixed(size: int, convert: Callable[[bytes], Any]) -> _Reader:
    return lambda body, at: (convert(body[at : at + size]), at + size)


def _fractional(code: Code, fsp: int) -> _Reader:
    whole, convert = _FRACTIONAL[code]
    return _fixed(whole + temporal.fraction_bytes(fsp), lambda raw: convert(raw, fsp))


def _decimal(column: Column) -> _Reader:
    precision, scale = column.precision, column.scale
    return _fixed(numeric.decimal_bytes(precision, scale), lambda raw: numeric.decimal_text(raw, precision, scale))


def _bit(bits: int) -> _Reader:
    if bits == 1:
        return lambda body, at: (body[at] == 1, at + 1)
    return _fixed((bits + 7) // 8, lambda raw: int.from_bytes(raw, "big"))


def _enum(size: int, column: Column, report: Callable[[str], None]) -> _Reader:
    labels = ("", *column.labels)  # index 0: the empty string that a refused value becomes

    def convert(raw: bytes) -> str:
        label = labels[int.from_bytes(raw, "little")]
        if label.startswith(charset.UNDECODABLE):
            report(column.name)
        return label

    return _fixed(size, convert)


def _set(size: int, column: Column, report: Callable[[str], None]) -> _Reader:
    def convert(raw: bytes) -> list[str]:
        bits = int.from_bytes(raw, "little")
        chosen = [label for number, label in enumerate(column.labels) if bits >> number & 1]
        if any(label.startswith(charset.UNDECODABLE) for label in chosen):
            report(column.name)
        return chosen

    return _fixed(size, convert)


def _prefixed(size: int, convert: Callable[[bytes], Any]) -> _Reader:
    if size == 1:

        def read_short(body: bytes, at: int) -> tuple[Any, int]:
            end = at + 1 + body[at]
            return convert(body[at + 1 : end]), end

        return read_short

    def read(body: bytes, at: int) -> tuple[Any, int]:
        start = at + size
        end = start + int.from_bytes(body[at:start], "little")
        return convert(body[start:end]), end

    return read


def _converter(column: Column, report: Callable[[str], None]) -> Callable[[bytes], Any]:
    if column.charset:
        return _text(column, report)
    if column.type is ColumnType.BINARY:
        # The binlog strips trailing zero bytes (Field_string::pack); one UUID in 256 has one.
        return lambda raw: base64_text(raw.ljust(column.length, b"\0"))
    return {
        ColumnType.JSON: lambda raw: orjson.Fragment(jsonb.to_json(raw)),
        ColumnType.GEOMETRY: geometry.decode,
        ColumnType.VECTOR: numeric.vector,
    }.get(column.type, base64_text)


def _text(column: Column, report: Callable[[str], None]) -> Callable[[bytes], str]:
    decode = charset.decoder(column.charset)

    def convert(raw: bytes) -> str:
        try:
            return decode(raw)
        except UnicodeDecodeError:
            report(column.name)
            return charset.UNDECODABLE + base64_text(raw)

    return convert
