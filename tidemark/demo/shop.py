"""A small shop: its tables, and a seeded stream of changes to them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

DATABASE = "shop"
TABLES = ("customers", "products", "orders", "order_lines")

SCHEMA = (
    """CREATE TABLE customers (
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(100) NOT NULL, email VARCHAR(200) NOT NULL,
        city VARCHAR(80), born DATE, balance DECIMAL(12,2) NOT NULL DEFAULT 0,
        since TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3))""",
    """CREATE TABLE products (
        sku VARCHAR(40) NOT NULL PRIMARY KEY, title VARCHAR(200) NOT NULL, price DECIMAL(10,2) NOT NULL,
        attributes JSON NOT NULL, released DATE NOT NULL, rating FLOAT)""",
    """CREATE TABLE orders (
        id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, customer_id BIGINT UNSIGNED NOT NULL,
        status ENUM('new','paid','sent','returned') NOT NULL DEFAULT 'new', placed_at DATETIME(3) NOT NULL,
        total DECIMAL(12,2) NOT NULL DEFAULT 0, note TEXT)""",
    """CREATE TABLE order_lines (
        order_id BIGINT NOT NULL, line SMALLINT UNSIGNED NOT NULL, sku VARCHAR(40) NOT NULL, quantity INT NOT NULL,
        price DECIMAL(10,2) NOT NULL, PRIMARY KEY (order_id, line))""",
)

_CITIES = ("Malmö", "Kraków", "São Paulo", "東京", "Zürich", "Nairobi", None)
_COLOURS = ("red", "blue", "green", "naïve white")


class Shop:
    """Writes to the shop's tables; the same seed writes the same changes. `rows` counts the row changes."""

    def __init__(self, connection: Any, seed: int = 20260101) -> None:
        self._connection = connection
        self._random = random.Random(seed)  # noqa: S311  a repeatable story, no secret
        self.rows = 0

    def create(self) -> None:
        """Make the database and its tables anew."""
        with self._connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {DATABASE}")
            cursor.execute(f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")
            cursor.execute(f"USE {DATABASE}")
            for statement in SCHEMA:
                cursor.execute(statement)

    def write(self, sql: str, rows: Sequence[Sequence[Any]], *, changes: int | None = None) -> None:
        """One transaction with many rows; `changes` where a statement changes another number of rows."""
        self._connection.begin()
        with self._connection.cursor() as cursor:
            cursor.executemany(sql, rows)
        self._connection.commit()
        self.rows += len(rows) if changes is None else changes

    def fill(self, customers: int = 1200, products: int = 400, orders: int = 1500) -> Iterator[str]:
        """Insert, update, delete and rename; yields what it is doing."""
        yield "inserting customers and products"
        self.write(
            "INSERT INTO customers (name, email, city, born, balance) VALUES (%s,%s,%s,%s,%s)",
            [self._customer(number) for number in range(1, customers + 1)],
        )
        self.write("INSERT INTO products VALUES (%s,%s,%s,%s,%s,%s)", [self._product(n) for n in range(products)])
        yield "placing orders"
        self._place(orders, customers, products)
        yield "paying, sending, changing prices"
        chosen = self._random.sample(range(1, orders + 1), orders // 2)
        self.write("UPDATE orders SET status='paid', total=total+1 WHERE id=%s", [(number,) for number in chosen])
        repriced = self._random.sample(range(products), products // 2)
        self.write("UPDATE products SET price=price+0.05 WHERE sku=%s", [(sku(number),) for number in repriced])
        yield "deleting and renaming"
        gone = self._random.sample(range(1, customers + 1), customers // 20)
        self.write("DELETE FROM customers WHERE id=%s", [(number,) for number in gone])
        renamed = self._random.sample(range(products), products // 10)
        self.write("UPDATE products SET sku=CONCAT('NEW/', sku) WHERE sku=%s", [(sku(number),) for number in renamed])

    def _customer(self, number: int) -> tuple[Any, ...]:
        born = f"{self._random.randint(1940, 2008)}-{self._random.randint(1, 12):02}-{self._random.randint(1, 28):02}"
        balance = self._random.randint(-10_000, 1_000_000) / 100
        return (f"Customer {number}", f"c{number}@example.org", self._random.choice(_CITIES), born, balance)

    def _product(self, number: int) -> tuple[Any, ...]:
        attributes = {"colour": self._random.choice(_COLOURS), "sizes": [1, 2, 3.5], "on": {"sale": number % 3 == 0}}
        price = self._random.randint(100, 100_000) / 100
        released = f"2026-{1 + number % 12:02}-{1 + number % 28:02}"
        return (sku(number), f"Product № {number}", price, json.dumps(attributes), released, number % 50 / 10)

    def _place(self, orders: int, customers: int, products: int) -> None:
        made, lines = [], []
        for number in range(1, orders + 1):
            second, milli = number % 60, number % 1000
            made.append(
                (number, self._random.randint(1, customers), f"2026-11-21 10:26:{second:02}.{milli:03}", number)
            )
            lines += [
                (number, line, sku(self._random.randrange(products)), line, self._random.randint(100, 9999) / 100)
                for line in range(1, self._random.randint(2, 4))
            ]
        self.write("INSERT INTO orders (id, customer_id, placed_at, total) VALUES (%s,%s,%s,%s)", made)
        self.write("INSERT INTO order_lines VALUES (%s,%s,%s,%s,%s)", lines)


def sku(number: int) -> str:
    """A product's key; with characters that careless code trips over."""
    return f"P-{number:04d}/ä:{number % 7}"
