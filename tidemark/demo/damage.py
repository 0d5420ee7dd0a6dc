"""Harm behind the pipeline's back: deleted documents, and documents put back to an older state."""

from __future__ import annotations

from typing import Any

from tidemark.demo.index_side import Doc, IndexSide

_REMOVED = {"customers": 3, "products": 2, "orders": 3, "order_lines": 2}
_STALED = {"customers": 2, "products": 2, "orders": 2}
_TOUCH = {
    "customers": ("UPDATE customers SET balance = balance + 1, city = %s WHERE id = %s", "city"),
    "products": ("UPDATE products SET title = %s WHERE sku = %s", "title"),
    "orders": ("UPDATE orders SET note = %s WHERE id = %s", "note"),
    "order_lines": ("UPDATE order_lines SET sku = %s WHERE JSON_ARRAY(order_id, line) = CAST(%s AS JSON)", "sku"),
}


def choose(index: IndexSide) -> tuple[list[Doc], list[Doc]]:
    """Documents to remove and documents to stale; no document is in both."""
    removed: list[Doc] = []
    staled: list[Doc] = []
    for table, count in _REMOVED.items():
        stale = _STALED.get(table, 0)
        docs = index.sample(table, (count + stale) * 7)[::7]  # spread over the key space
        removed += docs[:count]
        staled += docs[count : count + stale]
    return removed, staled


def touch(connection: Any, docs: list[Doc], mark: str) -> int:
    """Change these rows in MySQL, one transaction each; the number of rows changed."""
    changed = 0
    with connection.cursor() as cursor:
        for doc in docs:
            sql, _ = _TOUCH[doc.table]
            changed += cursor.execute(sql, (mark, doc.id))
    return changed


def shows(index: IndexSide, doc: Doc, mark: str) -> bool:
    """True if the document shows the change that `touch` made."""
    found = index.source(doc)
    return found is not None and found[_TOUCH[doc.table][1]] == mark
