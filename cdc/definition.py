"""How a table is declared, and which changes of that leave the documents of its old rows true."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from schemas.table import FORMAT, Column, ColumnType, Protection, Table, check_format

MASKED, HASHED = "masked", "hashed "  # what the type of a protected column is, or begins with


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnFacts:
    """One column. `filled`: rows that were there before it hold a value in it, not NULL; True if that is not known."""

    name: str
    type: str
    nullable: bool
    filled: bool
    charset: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A table's columns and key.

    `since`: layouts up to this version belong to a table of this name that was dropped. `accepted`: changes, by their
    `id`, that an operator chose to ignore. `hidden`: marks of columns that are excluded, and not among the others.
    `hash_key`: the fingerprint of the key, if a column is hashed. `rekeyed`: layouts up to this version may have hashes
    by another one.
    """

    columns: tuple[ColumnFacts, ...]
    primary_key: tuple[str, ...]
    since: int = 0
    accepted: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    hash_key: str = ""
    rekeyed: int = 0

    def to_json(self) -> dict[str, Any]:
        """The value of its record in `<source>.__schema`."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Definition:
        check_format(record, "table definition")
        return cls(
            columns=tuple(ColumnFacts(**column) for column in record["columns"]),
            primary_key=tuple(record["primary_key"]),
            since=record["since"],
            accepted=tuple(record["accepted"]),
            hidden=tuple(record.get("hidden", ())),
            hash_key=record.get("hash_key", ""),
            rekeyed=record.get("rekeyed", 0),
        )


class Change(NamedTuple):
    """A difference that old documents do not show. `id` is stable, `what` is for people."""

    id: str
    what: str


def changes(old: Definition, new: Definition, *, only: Collection[str] | None = None) -> list[Change]:
    """What makes documents of rows that were written before untrue; empty if nothing does.

    Harmless: a nullable column without a default (absent is null), a dropped column, a wider type, NOT NULL taken away.
    `only`: the columns that count, since the others have been dropped in the meantime.
    """
    before = {column.name: column for column in old.columns}
    after = {column.name: column for column in new.columns}
    counted = after.keys() if only is None else after.keys() & set(only)
    added = sorted(counted - before.keys())
    return [
        *_key_change(old, new),
        *_added([after[name] for name in added], gone=sorted(before.keys() - after.keys())),
        *(change for name in sorted(before.keys() & counted) for change in _altered(before[name], after[name])),
    ]


def _key_change(old: Definition, new: Definition) -> Iterator[Change]:
    if old.primary_key != new.primary_key:
        what = f"primary key ({', '.join(old.primary_key)}) became ({', '.join(new.primary_key)})"
        yield Change(f"key:{','.join(new.primary_key)}", what)


def _added(added: Iterable[ColumnFacts], *, gone: Sequence[str]) -> Iterator[Change]:
    for column in added:
        if gone:
            what = f"column {column.name} came as {', '.join(gone)} went, which may have been a renaming"
            yield Change(f"+{column.name}", what)
        elif column.filled:
            yield Change(f"+{column.name}", f"column {column.name} was added, with values in the rows that were there")


def _altered(old: ColumnFacts, new: ColumnFacts) -> Iterator[Change]:
    if old.type != new.type and not _widened(old.type, new.type):
        yield Change(f"~{new.name}:{new.type}", f"column {new.name} changed from {old.type} to {new.type}")
    elif old.nullable and not new.nullable:
        yield Change(f"!{new.name}", f"column {new.name} became NOT NULL, and its NULLs something else")
    elif old.charset and new.charset and new.charset not in (old.charset, "utf8mb4"):
        what = f"column {new.name} changed from character set {old.charset} to {new.charset}"
        yield Change(f"%{new.name}:{new.charset}", what)


_SIZED = re.compile(r"(\w+)(?:\((\d+)(?:,(\d+))?\))?( unsigned)?( zerofill)?")
_RANKS = (
    ("tinyint", "smallint", "mediumint", "int", "bigint"),
    ("tinytext", "text", "mediumtext", "longtext"),
    ("tinyblob", "blob", "mediumblob", "longblob"),
)


def _widened(old: str, new: str) -> bool:
    """True if every old value is written the same way in the new type."""
    if old.startswith(HASHED) and new.startswith(HASHED):
        return _widened(old.removeprefix(HASHED), new.removeprefix(HASHED))
    if old.startswith(("enum(", "set(")):
        return new.startswith(old[:-1] + ",")  # labels added at the end
    was, now = _SIZED.fullmatch(old), _SIZED.fullmatch(new)
    if was is None or now is None or was[4] != now[4]:
        return False
    for family in _RANKS:
        if was[1] in family and now[1] in family:
            return family.index(now[1]) >= family.index(was[1])
    if was[1] != now[1] or not (was[2] and now[2]):
        return False
    lengthens = was[1] in ("char", "varchar", "varbinary") and int(now[2]) >= int(was[2])
    return lengthens or (was[1] == "decimal" and was[3] == now[3] and int(now[2]) >= int(was[2]))


def as_logged(table: Table, declared: Definition | None) -> Definition:
    """A layout from the binlog in the same form; what it does not tell is taken from the declaration."""
    filled = {column.name: column.filled for column in declared.columns} if declared else {}
    return Definition(
        columns=tuple(
            ColumnFacts(
                name=column.name,
                type=_logged_type(column),
                nullable=column.nullable,
                filled=filled.get(column.name, True),
                charset=column.charset,
            )
            for column in table.columns
        ),
        primary_key=table.primary_key,
    )


_PREFIXED = {
    ColumnType.TEXT: _RANKS[1],
    ColumnType.BLOB: _RANKS[2],
}


def _logged_type(column: Column) -> str:
    if column.protection is Protection.MASK:
        return MASKED
    return HASHED + _plain_type(column) if column.protection else _plain_type(column)


def _plain_type(column: Column) -> str:
    sign = " unsigned" if column.unsigned else ""
    if column.type in _PREFIXED and 1 <= column.length <= 4:
        return _PREFIXED[column.type][column.length - 1]
    if column.type in (ColumnType.ENUM, ColumnType.SET):
        return f"{column.type}({','.join(repr(label) for label in column.labels)})"
    if column.type is ColumnType.DECIMAL:
        return f"decimal({column.precision},{column.scale}){sign}"
    size = column.length or column.fsp
    return f"{column.type}({size}){sign}" if size else f"{column.type}{sign}"
