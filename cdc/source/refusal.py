"""Errors by name for what cannot be read faithfully, each with a way on."""

from __future__ import annotations

from cdc.source.wire import EventType, type_name
from schemas.errors import (
    PartialImageError,
    StatementFormatError,
    UndecodableError,
    UnsafeError,
    UnsupportedEventError,
)

_NATIVE = '[cdc] engine = "native" reads it'
ONWARD = "How to pass over that transaction: docs/errors/statement-format.md."
_BEHIND = (
    "Set a position behind it, `tidemark cdc position reset --to …`, and rewrite the rows that `tidemark audit run "
    "--against mysql` names."
)
_HINTS: dict[int, str] = {
    EventType.TRANSACTION_PAYLOAD: f"{_NATIVE}; or SET PERSIST binlog_transaction_compression = OFF, "
    "also in the sessions that set it.",
    EventType.PARTIAL_UPDATE_ROWS: f"{_NATIVE}; or SET PERSIST binlog_row_value_options = '', "
    "also in the sessions that set it.",
    EventType.GTID_TAGGED: f"{_NATIVE}; or let no session set gtid_next to AUTOMATIC:<tag>.",
    EventType.XA_PREPARE: "An XA transaction with rows of captured tables may still be rolled back after its rows were "
    f"logged. Keep XA away from captured tables. {ONWARD}",
}
_MARIADB = range(EventType.MARIADB_ANNOTATE_ROWS, EventType.MARIADB_DELETE_ROWS_COMPRESSED + 1)
_SHOWN_CHARS = 120
OTHER_SERVER = "The address leads to more than one server, or to another one since a moment ago."


def unsupported(code: int, engine: str = "portable") -> UnsupportedEventError:
    """An event type that an engine cannot read, and must not pass over."""
    usual = f"A newer tidemark may read it. {ONWARD}"
    if code in _MARIADB:
        hint = "This is MariaDB's, whose own events are not read yet."
    elif engine == "native" and code != EventType.XA_PREPARE:
        hint = usual
    else:
        hint = _HINTS.get(code, usual)
    return UnsupportedEventError(f"the {engine} engine cannot read the event {type_name(code)}", hint=hint)


def xa_rows(table: str) -> UnsupportedEventError:
    """Rows of a captured table in an XA transaction, whose outcome is not known yet."""
    return UnsupportedEventError(f"rows of {table} in an XA transaction", hint=_HINTS[EventType.XA_PREPARE])


def statement_format(text: str) -> StatementFormatError:
    """A row change as SQL text."""
    return StatementFormatError(
        f"a row change was logged as a statement: {text[:_SHOWN_CHARS]!r}",
        hint="Find the session that sets binlog_format; SET PERSIST binlog_format = 'ROW' is what tidemark needs. "
        f"{ONWARD}",
    )


def partial_image() -> PartialImageError:
    """A row event that lacks columns."""
    return PartialImageError(
        "a row event holds only some of the table's columns",
        hint="Find the session that sets binlog_row_image to MINIMAL or NOBLOB; "
        f"SET PERSIST binlog_row_image = 'FULL' is what tidemark needs. {ONWARD}",
    )


def hidden(error: Exception, column: str = "") -> UndecodableError:
    """A row that cannot be decoded, of a table whose values are not to be quoted: the error's text may do that."""
    place = f"column {column} of a row" if column else "a row"
    return UndecodableError(
        f"{place} of a table with protected columns ({type(error).__name__}); what exactly is not shown"
    )


def rolled_back() -> UnsafeError:
    """ROLLBACK after rows."""
    return UnsafeError(
        "a transaction with rows of captured tables was rolled back in the binlog",
        hint=f"It also wrote to a table of another engine than InnoDB. {ONWARD}",
    )


def unfinished() -> UnsafeError:
    """The end of a transaction does not come."""
    return UnsafeError(
        "a transaction with rows of captured tables does not end in the binlog, something else begins",
        hint="The server stopped while it wrote, or its binlogs were copied or restored. MySQL has rolled those rows "
        f"back, and some of them may be published. {_BEHIND}",
    )


def incident() -> UnsafeError:
    """INCIDENT: the server itself says that events are missing."""
    return UnsafeError(
        "the server logged an incident: changes are missing from the binlog",
        hint=f"Look for the cause in the server's error log. {_BEHIND}",
    )
