"""What other ways to the same answer would have asked of Elasticsearch. Pure; figures for orientation."""

from __future__ import annotations

from typing import NamedTuple

from schemas.report import TableReport

PAGE = 1000  # documents, as `helpers.scan` fetches them


class Other(NamedTuple):
    """Requests and, where documents would be fetched, how many."""

    requests: int
    documents: int


def plain_binary(keys: int, differing: int) -> Other:
    """Halving: one count a request, both halves of every range that differs, down to single keys.

    `differing` documents are taken to lie far from one another; side by side they need fewer.
    """
    requests, width, left = 1, 1, keys
    while left > 1 and differing:
        requests += 2 * min(width, differing)
        width *= 2
        left = -(-left // 2)
    return Other(requests, 0)


def full_scan(documents: int) -> Other:
    """All documents, page by page; one more to open it, one to close it."""
    return Other(-(-documents // PAGE) + 2, documents)


def differing(table: TableReport) -> int:
    return sum(table.counts.values())
