"""What is captured: tables, and the statements that fill the binlog. All values are made by the server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

PER_TRANSACTION = 500
WIDE_COLUMNS = 60
_ROWS_A_CALL = 10_000

#: Every table begins like this; the check compares `customer` and `name` of every row's last event.
_HEAD = "id BIGINT UNSIGNED NOT NULL PRIMARY KEY, customer INT NOT NULL, name VARCHAR(80) NOT NULL"
_HEAD_VALUES = "{n}, MOD({n}, 9973), CONCAT('Customer number ', {n}, ' of many')"
_PLAIN = (
    "status ENUM('new','paid','sent') NOT NULL, amount DECIMAL(12,2) NOT NULL, currency CHAR(3) NOT NULL, "
    "note VARCHAR(200), ratio DOUBLE, created DATETIME(3) NOT NULL, updated TIMESTAMP(6) NOT NULL"
)
_PLAIN_VALUES = (
    "'paid', MOD({n}, 9973) + 0.99, 'EUR', 'Zürich, a note of the usual length', {n} / 1e6, "
    "'2026-11-21 10:26:57.231', '2026-11-21 10:26:57.231987'"
)
_JSON_VALUES = (
    "JSON_OBJECT('order', {n}, 'paid', TRUE, 'total', {n} / 100, 'note', NULL, 'tags', JSON_ARRAY('a', 'b', 'c', {n}), "
    "'address', JSON_OBJECT('street', CONCAT('Road ', {n}), 'city', 'Zürich', 'zip', '8001', "
    "'geo', JSON_ARRAY(47.3769, 8.5417)), "
    "'lines', JSON_ARRAY(JSON_OBJECT('sku', 'A-1', 'count', 2, 'price', 19.9), "
    "JSON_OBJECT('sku', 'B-2', 'count', 1, 'price', 5), JSON_OBJECT('sku', 'C-3', 'count', 7, 'price', 0.5))), "
    "JSON_OBJECT('agent', 'Mozilla/5.0 (X11; Linux x86_64)', 'ip', '192.0.2.7', 'session', {n} * 7, "
    "'flags', JSON_ARRAY(1, 0, 1, 1))"
)


def _wide_columns() -> Iterator[tuple[str, str]]:
    """Definition and value of the columns after the head, in turns of five types."""
    kinds = (
        ("i{k} INT NOT NULL", "{{n}} + {k}"),
        ("t{k} VARCHAR(40) NOT NULL", "CONCAT('text {k} of row ', {{n}})"),
        ("d{k} DECIMAL(10,2)", "MOD({{n}}, 1000) + {k} / 100"),
        ("b{k} BIGINT NOT NULL", "{{n}} * 1000003 + {k}"),
        ("m{k} DATETIME", "'2026-11-21 10:26:57'"),
    )
    for number in range(WIDE_COLUMNS - 3):
        definition, value = kinds[number % len(kinds)]
        yield definition.format(k=number), value.format(k=number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kind of load on one table. `columns`, `values`: what follows the head; `{n}` stands for the row's number."""

    name: str
    what: str
    columns: str
    values: str
    per_transaction: int = PER_TRANSACTION
    update: bool = False

    @property
    def table(self) -> str:
        return f"CREATE TABLE events ({_HEAD}, {self.columns})"

    def insert(self, first: int, count: int) -> str:
        """Rows `first` to `first + count - 1`, in one statement."""
        number = f"({first} + numbers.n)"
        return (
            f"INSERT INTO events SELECT {(_HEAD_VALUES + ', ' + self.values).format(n=number)} "
            f"FROM bench_numbers.numbers WHERE numbers.n < {count} ORDER BY numbers.n"
        )

    def before(self, rows: int) -> Iterator[str]:
        """Statements before the backlog begins."""
        if self.update:
            yield from self._inserts(rows, PER_TRANSACTION)
        if self.per_transaction == 1:
            yield self._procedure()

    def backlog(self, rows: int) -> Iterator[str]:
        """Statements whose changes are captured: `rows` in all."""
        if self.update:
            for first in range(1, rows + 1, self.per_transaction):
                last = min(first + self.per_transaction - 1, rows)
                yield (
                    "UPDATE events SET customer = customer + 1, name = CONCAT('Changed ', name), status = 'sent' "
                    f"WHERE id BETWEEN {first} AND {last}"
                )
        elif self.per_transaction == 1:
            for first in range(1, rows + 1, _ROWS_A_CALL):
                yield f"CALL one_by_one({first}, {min(first + _ROWS_A_CALL - 1, rows)})"
        else:
            yield from self._inserts(rows, self.per_transaction)

    def _inserts(self, rows: int, at_once: int) -> Iterator[str]:
        for first in range(1, rows + 1, at_once):
            yield self.insert(first, min(at_once, rows + 1 - first))

    def _procedure(self) -> str:
        # A round trip for each row would take longer than the row.
        values = (_HEAD_VALUES + ", " + self.values).format(n="first")
        return (
            "CREATE PROCEDURE one_by_one(first BIGINT, final BIGINT) BEGIN WHILE first <= final DO "
            f"INSERT INTO events VALUES ({values}); SET first = first + 1; END WHILE; END"
        )


_WIDE = list(_wide_columns())

CASES = (
    Case(
        name="multi-row",
        what=f"inserts of 10 columns, {PER_TRANSACTION} rows a transaction",
        columns=_PLAIN,
        values=_PLAIN_VALUES,
    ),
    Case(
        name="single-row",
        what="the same inserts, one row a transaction",
        columns=_PLAIN,
        values=_PLAIN_VALUES,
        per_transaction=1,
    ),
    Case(
        name="updates",
        what=f"updates of such rows, {PER_TRANSACTION} a transaction",
        columns=_PLAIN,
        values=_PLAIN_VALUES,
        update=True,
    ),
    Case(
        name="wide",
        what=f"inserts of {WIDE_COLUMNS} columns, {PER_TRANSACTION} rows a transaction",
        columns=", ".join(definition for definition, _ in _WIDE),
        values=", ".join(value for _, value in _WIDE),
    ),
    Case(
        name="json",
        what=f"inserts of two JSON documents (0.5 KB) each, {PER_TRANSACTION} rows a transaction",
        columns="doc JSON NOT NULL, meta JSON NOT NULL",
        values=_JSON_VALUES,
    ),
)
