"""Compares small ranges document by document. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from auditor.axis import Place
from auditor.doc import Doc
from schemas.key import document_id


def differing(places: Mapping[tuple[int, str], Place], docs: Iterable[Doc]) -> Iterator[str]:
    """Ids of documents that may be wrong: those not as expected, then those expected and not there."""
    left = dict(places)
    for doc in docs:
        if doc.key is None or doc.partition is None or not doc.at_home:
            yield doc.id
        elif left.get((doc.partition, doc.key)) == (doc.offset, doc.fp):
            del left[doc.partition, doc.key]
        else:
            yield doc.id
    yield from (document_id(key) for _, key in left)
