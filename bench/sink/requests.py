"""Bulk requests in files: what a sink has sent, to be sent again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Request(NamedTuple):
    """`body`: its lines, before they are compressed, if they were."""

    body: bytes
    items: int
    gzip: bool


def keep(path: Path, request: Request) -> None:
    """Append it to a file."""
    with path.open("ab") as stream:
        stream.write(b"%d %d %d\n" % (len(request.body), request.items, request.gzip))
        stream.write(request.body)


def kept(path: Path) -> Iterator[Request]:
    """The requests of a file, in order."""
    with path.open("rb") as stream:
        while head := stream.readline():
            size, items, gzip = map(int, head.split())
            yield Request(stream.read(size), items, bool(gzip))
