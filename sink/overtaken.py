"""Which dead letters do not matter any more, as far as the index shows it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from elastic_transport import TransportError
from elasticsearch import ApiError, Elasticsearch

from ops.elastic import translate
from sink.letterbox import Numbered

_PAGE = 500  # with the longest ids that is a quarter of a megabyte

Look = Callable[[Sequence[Numbered]], set[int]]


def overtaken(client: Elasticsearch, letters: Sequence[Numbered], where: str) -> set[int]:
    """The numbers of those whose document is in the index by that event or a newer one. Raises a `TidemarkError`.

    A document that was deleted since shows nothing.
    """
    by_index: dict[str, list[Numbered]] = defaultdict(list)
    for found in letters:
        by_index[found.letter.index].append(found)
    return {number for index, mine in by_index.items() for number in _newer(client, index, mine, where)}


def _newer(client: Elasticsearch, index: str, letters: Sequence[Numbered], where: str) -> Iterator[int]:
    # A search, since with a routing an id alone does not lead to the shard; so it sees what is refreshed.
    try:
        hits = client.search(
            index=index, query={"ids": {"values": [found.letter.id for found in letters]}}, size=10_000,
            source_includes=["_cdc.seq"], ignore_unavailable=True, allow_partial_search_results=False,
        )["hits"]["hits"]  # fmt: skip
    except (ApiError, TransportError) as error:
        raise translate(error, f"{where}, {index}") from error
    seqs = [(hit["_id"], int(hit["_source"].get("_cdc", {}).get("seq", 0))) for hit in hits]
    newest = dict(sorted(seqs, key=lambda found: found[1]))
    for found in letters:
        if newest.get(found.letter.id, 0) >= found.letter.seq:
            yield found.number


def looked_at(letters: Iterable[Numbered], look: Look | None) -> Iterator[tuple[Numbered, bool | None]]:
    """Each letter, and whether it is overtaken; None if nobody looks."""
    coming = iter(letters)
    if look is None:
        yield from ((found, None) for found in coming)
        return
    while page := list(islice(coming, _PAGE)):
        gone = look(page)
        yield from ((found, found.number in gone) for found in page)
