"""A captured table as its rows travel: columns, their types, the primary key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from schemas.errors import FormatError

FORMAT = 1
_PROTECTED_FORMAT = 2  # of a table record with protected columns: who does not know them would map them wrongly


class ColumnType(StrEnum):
    """MySQL's types, those with one JSON form and one index field folded into one."""

    TINYINT = "tinyint"
    SMALLINT = "smallint"
    MEDIUMINT = "mediumint"
    INT = "int"
    BIGINT = "bigint"
    DECIMAL = "decimal"
    FLOAT = "float"
    DOUBLE = "double"
    BIT = "bit"
    CHAR = "char"
    VARCHAR = "varchar"
    TEXT = "text"
    BINARY = "binary"
    VARBINARY = "varbinary"
    BLOB = "blob"
    DATE = "date"
    DATETIME = "datetime"
    TIMESTAMP = "timestamp"
    TIME = "time"
    YEAR = "year"
    ENUM = "enum"
    SET = "set"
    JSON = "json"
    GEOMETRY = "geometry"
    VECTOR = "vector"


class Protection(StrEnum):
    """What events hold instead of a column's values; NULL stays null."""

    HASH = "hash"
    MASK = "mask"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column, as the binlog's table map describes it.

    `length` is in bytes for CHAR, VARCHAR, BINARY and VARBINARY, in bits for BIT, in bytes of the length prefix for
    TEXT, BLOB, JSON, GEOMETRY and VECTOR. `charset` is MySQL's character set name; `labels` are in definition order.
    A column with a `protection` is text in events, whatever its type: of a hashed one the labels are hashed too, of a
    masked one only type and nullability are told.
    """

    name: str
    type: ColumnType
    unsigned: bool = False
    nullable: bool = True
    length: int = 0
    precision: int = 0
    scale: int = 0
    fsp: int = 0
    charset: str = ""
    labels: tuple[str, ...] = ()
    protection: Protection | None = None

    def to_json(self) -> dict[str, Any]:
        """Only what differs from the defaults, so that equal columns give equal bytes."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        defaults = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in values.items() if value != defaults[name]}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Column:
        labels = tuple(record.get("labels", ()))
        protection = Protection(record["protection"]) if "protection" in record else None
        return cls(**{**record, "type": ColumnType(record["type"]), "labels": labels, "protection": protection})


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One version of a table's layout. `primary_key` holds column names in key order, and may be empty.

    `open`: rows may have columns that are not named here; such a layout is in no record.
    """

    db: str
    name: str
    version: int
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    topic: str = ""
    open: bool = False

    @property
    def full_name(self) -> str:
        """`database.table`, as the configuration and reports write it."""
        return full_name(self.db, self.name)

    def same_layout(self, other: Table) -> bool:
        """True if rows of both decode alike and have the same key."""
        return self.columns == other.columns and self.primary_key == other.primary_key

    def to_json(self) -> dict[str, Any]:
        """The value of its record in `<source>.__schema`."""
        protected = any(column.protection for column in self.columns)
        return {
            "format": _PROTECTED_FORMAT if protected else FORMAT,
            "db": self.db,
            "table": self.name,
            "version": self.version,
            "topic": self.topic,
            "primary_key": list(self.primary_key),
            "columns": [column.to_json() for column in self.columns],
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Table:
        """Read a `__schema` record; a newer format is refused by name."""
        check_format(record, "table record", newest=_PROTECTED_FORMAT)
        return cls(
            db=record["db"],
            name=record["table"],
            version=record["version"],
            topic=record["topic"],
            primary_key=tuple(record["primary_key"]),
            columns=tuple(Column.from_json(column) for column in record["columns"]),
        )


def plain(db: str) -> bool:
    """True if `database.table` can be told apart; nothing is captured of other databases."""
    return "." not in db and "`" not in db


def folded_column(name: str) -> str:
    """A column's name as MySQL compares it: without case, on every platform, but with its accents."""
    return "".join(letter.lower()[0] for letter in name)  # İ is i there, and not i with a dot above it


def full_name(db: str, table: str = "") -> str:
    """`database.table`, or a database's name: its end is the first dot. Of a database that is not plain, quoted."""
    if not plain(db):
        return ".".join("`" + name.replace("`", "``") + "`" for name in (db, table) if name)
    return f"{db}.{table}" if table else db


def check_format(record: Mapping[str, Any], what: str, newest: int = FORMAT) -> None:
    """Raise `FormatError` if a record is of a format that this version does not know."""
    found = record.get("format")
    if not isinstance(found, int) or not 1 <= found <= newest:
        raise FormatError(
            f"{what} has format {found!r}; this version reads formats up to {newest}",
            hint="Run the tidemark version that wrote it, or a newer one.",
        )
