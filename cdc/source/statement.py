"""What a logged statement may have done, told by its leading words and table names only."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from itertools import islice, zip_longest
from typing import NamedTuple

from cdc.source.query import Query
from cdc.source.sql import NEWEST, OTHER, Token, tokens


class Kind(Enum):
    """What follows from a statement."""

    BEGIN = auto()
    COMMIT = auto()
    ROLLBACK = auto()
    ROLLBACK_TO = auto()
    XA_START = auto()
    XA_END = auto()
    XA_OUTCOME = auto()  # XA COMMIT or ROLLBACK of a transaction that was prepared before
    CHANGE = auto()  # rows as SQL text; `tables` is empty where they cannot be told
    EMPTIED = auto()
    DROPPED = auto()  # or made anew by CREATE OR REPLACE
    DATABASE_DROPPED = auto()  # `tables` holds the database as (name, "")
    REPLACED = auto()
    RENAMED = auto()  # `tables`: from, to, from, to, …
    LAYOUT = auto()  # any other statement that may have changed a table
    HARMLESS = auto()


Name = tuple[str, str]
ASIDE: Name = ("", "")  # where rows are that have no table's name for a while, or one that cannot be told


class Statement(NamedTuple):
    """A statement's kind and the tables it names, as (database, table).

    `moves`: rows of the first name have the second one afterwards, one move after the other, whatever the kind.
    """

    kind: Kind
    tables: tuple[Name, ...] = ()
    moves: tuple[tuple[Name, Name], ...] = ()


def classify(query: Query, version: int = NEWEST) -> Statement:
    """What a statement may have done."""
    text = query.text
    if text in _FREQUENT:
        return _FREQUENT[text]
    stream = tokens(query, version)
    first = next(stream, None)
    if first is None:
        return Statement(Kind.HARMLESS)
    limit = _CHANGE_TOKENS if first.word in _CHANGES else _DDL_TOKENS
    return _Reader([first, *islice(stream, limit)], query.db).statement()


_FREQUENT = {"BEGIN": Statement(Kind.BEGIN), "COMMIT": Statement(Kind.COMMIT), "ROLLBACK": Statement(Kind.ROLLBACK)}
# The names stand at the beginning, and an INSERT can be megabytes long; an ALTER can end in PARTITION.
_CHANGE_TOKENS, _DDL_TOKENS = 1_000, 200_000

_CHANGES = frozenset((
    "INSERT", "REPLACE", "UPDATE", "DELETE", "LOAD", "WITH", "CALL", "DO", "SELECT", "VALUES", "TABLE", "HANDLER", "(",
))  # fmt: skip
_MODIFIERS = frozenset(("LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "QUICK", "INTO", "FROM"))
_PLAIN = {
    "BEGIN": Kind.BEGIN,
    "COMMIT": Kind.COMMIT,
    "SAVEPOINT": Kind.HARMLESS,
    "RELEASE": Kind.HARMLESS,
}
_XA = {
    "START": Kind.XA_START, "BEGIN": Kind.XA_START, "END": Kind.XA_END, "PREPARE": Kind.XA_END,
    "COMMIT": Kind.XA_OUTCOME, "ROLLBACK": Kind.XA_OUTCOME,
}  # fmt: skip
#: Statements that touch neither rows nor columns of a table.
_HARMLESS = frozenset((
    "GRANT", "REVOKE", "FLUSH", "ANALYZE", "OPTIMIZE", "CHECK", "CHECKSUM", "SET", "LOCK", "UNLOCK", "KILL", "RESET",
    "PURGE", "CHANGE", "INSTALL", "UNINSTALL", "SHUTDOWN", "USE", "SHOW", "EXPLAIN", "DESCRIBE", "DESC", "CACHE",
    "CLONE", "BINLOG", "STOP", "HELP", "SIGNAL", "RESIGNAL", "GET", "PREPARE", "EXECUTE", "DEALLOCATE", "RESTART",
))  # fmt: skip
_OBJECTS = frozenset((
    "TABLE", "TABLES", "DATABASE", "SCHEMA", "INDEX", "VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT", "USER",
    "ROLE", "SERVER", "TABLESPACE", "LOGFILE", "RESOURCE", "REFERENCE", "INSTANCE", "LIBRARY", "SEQUENCE", "PACKAGE",
    "MATERIALIZED", "JSON", "CATALOG",
))  # fmt: skip
_TABLE_OBJECTS = frozenset(("TABLE", "TABLES", "INDEX"))


class _Reader:
    def __init__(self, found: Sequence[Token], db: str) -> None:
        self._tokens = found
        self._db = db
        self._at = 0

    def statement(self) -> Statement:
        first = self._take().word
        if first in _PLAIN:
            return Statement(_PLAIN[first])
        if first in _CHANGES:
            return self._change(first)
        if first in _HARMLESS:
            return Statement(Kind.HARMLESS)
        special = {
            "START": self._start, "ROLLBACK": self._rollback, "XA": self._xa, "TRUNCATE": self._truncate,
            "DROP": self._drop, "CREATE": self._create, "ALTER": self._alter, "RENAME": self._rename,
        }.get(first)  # fmt: skip
        return special() if special else Statement(Kind.LAYOUT)

    def _word(self, ahead: int = 0) -> str:
        return self._tokens[self._at + ahead].word if self._at + ahead < len(self._tokens) else ""

    def _take(self) -> Token:
        token = self._tokens[self._at] if self._at < len(self._tokens) else OTHER
        self._at += 1
        return token

    def _skip(self, *words: str) -> bool:
        if tuple(self._word(ahead) for ahead in range(len(words))) != words:
            return False
        self._at += len(words)
        return True

    def _table(self) -> Name | None:
        name = self._take().name
        if not name:
            return None
        if self._word() == "." and self._at + 1 < len(self._tokens):
            self._at += 1
            return name, self._take().name
        return (self._db, name)

    def _start(self) -> Statement:
        return Statement(Kind.BEGIN if self._word() == "TRANSACTION" else Kind.HARMLESS)

    def _rollback(self) -> Statement:
        self._skip("WORK")
        return Statement(Kind.ROLLBACK_TO if self._word() == "TO" else Kind.ROLLBACK)

    def _xa(self) -> Statement:
        return Statement(_XA.get(self._word(), Kind.HARMLESS))

    def _truncate(self) -> Statement:
        self._skip("TABLE")
        table = self._table()
        return Statement(Kind.EMPTIED, (table,) if table else ())

    def _drop(self) -> Statement:
        if self._skip("TEMPORARY"):
            return Statement(Kind.HARMLESS)
        if self._skip("DATABASE") or self._skip("SCHEMA"):
            self._skip("IF", "EXISTS")
            return Statement(Kind.DATABASE_DROPPED, ((self._take().name, ""),))
        if self._skip("TABLE") or self._skip("TABLES"):
            self._skip("IF", "EXISTS")
            return Statement(Kind.DROPPED, self._names())
        return self._index() if self._object() == "INDEX" else Statement(Kind.HARMLESS)

    def _names(self) -> tuple[tuple[str, str], ...]:
        tables = []
        while table := self._table():
            tables.append(table)
            if not self._skip(","):
                break
        return tuple(tables)

    def _object(self) -> str:
        """The kind of thing that a CREATE, DROP or ALTER is about, past clauses like DEFINER = … ."""
        while self._at < len(self._tokens):
            word = self._take().word
            if word in _OBJECTS:
                return word
        return ""

    def _index(self) -> Statement:
        while self._at < len(self._tokens) and self._take().word != "ON":
            pass
        return Statement(Kind.LAYOUT, self._names()[:1])

    def _create(self) -> Statement:
        replaces = self._skip("OR", "REPLACE")
        if self._word() == "TEMPORARY":
            return Statement(Kind.HARMLESS)
        found = self._object()
        if found == "INDEX":
            return self._index()
        if found not in _TABLE_OBJECTS:
            return Statement(Kind.HARMLESS)
        self._skip("IF", "NOT", "EXISTS")
        return Statement(Kind.DROPPED if replaces else Kind.LAYOUT, self._names()[:1])

    def _alter(self) -> Statement:
        if self._object() not in _TABLE_OBJECTS:
            return Statement(Kind.HARMLESS)
        self._skip("IF", "EXISTS")
        table = self._table()
        if table is None:
            return Statement(Kind.LAYOUT)
        start = self._at
        new = self._new_name()
        tables, moves = ((table, new), ((table, new),)) if new else ((table,), ())
        rest = {token.word for token in self._tokens[start:]}
        if rest & {"PARTITION", "PARTITIONS", "PARTITIONING", "TABLESPACE"}:
            self._at = start
            if other := self._exchanged():
                tables = (*tables, other)
                moves = ((table, ASIDE), (other, table), (ASIDE, other), *moves)
            return Statement(Kind.REPLACED, tables, moves)
        return Statement(Kind.RENAMED if new else Kind.LAYOUT, tables, moves)

    def _exchanged(self) -> Name | None:
        while self._at < len(self._tokens):
            if self._skip("WITH", "TABLE"):
                return self._table()
            self._at += 1
        return None

    def _new_name(self) -> Name | None:
        new = None
        while self._at < len(self._tokens):
            if not self._skip("RENAME"):
                self._at += 1
            elif self._word() not in ("COLUMN", "INDEX", "KEY"):
                self._skip("TO") or self._skip("AS") or self._skip("=")
                new = self._table() or new  # the last one holds
        return new

    def _rename(self) -> Statement:
        if not (self._skip("TABLE") or self._skip("TABLES")):
            return Statement(Kind.HARMLESS)
        self._skip("IF", "EXISTS")
        named: list[Name] = []
        while table := self._table():
            named.append(table)
            if self._skip("WAIT"):  # MariaDB's
                self._take()
            self._skip("NOWAIT")
            if not (self._skip("TO") or self._skip(",")):
                break
        return Statement(Kind.RENAMED, tuple(named), tuple(zip_longest(named[::2], named[1::2], fillvalue=ASIDE)))

    def _change(self, first: str) -> Statement:
        """The one table that an INSERT, REPLACE, UPDATE, DELETE or LOAD writes, if it is plain to see."""
        if first == "LOAD":
            return self._load()
        if first not in ("INSERT", "REPLACE", "UPDATE", "DELETE"):
            return Statement(Kind.CHANGE)
        while self._word() in _MODIFIERS:
            self._at += 1
        table = self._table()
        if first == "UPDATE" and self._word() != "SET":  # an alias, or more tables
            return Statement(Kind.CHANGE)
        if first == "DELETE" and self._word() not in ("", "WHERE", "ORDER", "LIMIT"):
            return Statement(Kind.CHANGE)
        return Statement(Kind.CHANGE, (table,) if table else ())

    def _load(self) -> Statement:
        if self._word() not in ("DATA", "XML"):
            return Statement(Kind.HARMLESS)
        while self._at < len(self._tokens):
            if self._skip("INTO", "TABLE"):
                return Statement(Kind.CHANGE, self._names()[:1])
            self._at += 1
        return Statement(Kind.CHANGE)
