"""The deep audit: every document is read, and compared with the event that it says it shows.

Neither side is held in memory: of a document and of an event only a digest is kept, in the audit's store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from confluent_kafka import Message

from auditor.decode import place
from auditor.digest import digest
from auditor.doc import Doc
from auditor.scan import Scan
from auditor.store import Store
from auditor.suspects import Suspects
from auditor.topic import Topic
from auditor.wanted import Wanted
from auditor.window import Windows
from schemas.key import document_id
from schemas.watermark import Watermark

_TYPES = ("INTEGER", "BIGINT", "UBIGINT")
_ID_BATCH = 5000

# An event that is not there was removed by compaction, or never was: what the log says of the key tells which.
# Sums can cancel out, once in many millions; here every expected key is looked for by itself.
_DIFFERENT = """
CREATE TABLE different AS SELECT row_number() OVER () - 1 AS n, key FROM (
  SELECT s.key FROM scanned s LEFT JOIN wanted w ON w.partition = s.partition AND w."offset" = s."offset"
  WHERE w.digest IS DISTINCT FROM s.digest
  UNION ALL SELECT key FROM last ANTI JOIN scanned USING (key) WHERE op NOT IN (ascii('d'), ascii('t')))
"""


class Deep:
    """One table. `ends` tells the end of every partition, and is asked after the point in time is taken."""

    def __init__(
        self, store: Store, topic: Topic, wanted: Wanted, windows: Windows, *, ends: Callable[[], Mapping[int, int]]
    ) -> None:
        self._store = store
        self._topic = topic
        self._wanted = wanted
        self._windows = windows
        self._ends = ends
        store.run('CREATE TABLE scanned (key BLOB, partition INTEGER, "offset" BIGINT, digest UBIGINT)')
        store.run('CREATE TABLE wanted (partition INTEGER, "offset" BIGINT, digest UBIGINT)')

    def find(self, scan: Scan, suspects: Suspects) -> None:
        """Add the documents whose place, version or content may be wrong."""
        scan.open()
        ends = self._ends()
        for page in scan.owned(self._wanted.topic_id, self._windows.partitions):
            docs = [doc for doc in page if doc.partition in ends]
            self._keep(docs)
            suspects.add([id_ for doc in docs for id_ in _odd(doc)])
        parts = [
            Watermark(partition=part.partition, low=part.low, high=ends[part.partition]) for part in self._windows.parts
        ]
        for messages in self._topic.messages(parts):
            self._want(messages)
        self._store.run(_DIFFERENT)
        for ids in self._different():
            suspects.add(ids)

    def _keep(self, docs: Sequence[Doc]) -> None:
        rows = [
            (doc.key.encode(), doc.partition, doc.offset, digest(doc.source or {}))
            for doc in docs
            if doc.key is not None and doc.at_home
            if (doc.offset or 0) >= (self._windows.lower(doc.partition or 0) or 0)
        ]
        self._store.insert("scanned", ("BLOB", *_TYPES), list(zip(*rows, strict=True)))

    def _want(self, messages: Sequence[Message]) -> None:
        rows = []
        for message in messages:
            source = self._wanted.of_message(message)
            if source is not None:
                rows.append((*place(message), digest(source)))
        self._store.insert("wanted", _TYPES, list(zip(*rows, strict=True)))

    def _different(self) -> Iterator[list[str]]:
        [(count,)] = self._store.run("SELECT count(*) FROM different")
        for start in range(0, count, _ID_BATCH):
            rows = self._store.run("SELECT key FROM different WHERE n >= $1 AND n < $2", [start, start + _ID_BATCH])
            yield [document_id(key.decode()) for (key,) in rows]


def _odd(doc: Doc) -> Iterator[str]:
    """Documents that are seen to be wrong by themselves: under another id than their key's, of another version."""
    if not doc.at_home:
        yield doc.id
        if doc.key is not None:
            yield document_id(doc.key)
    elif doc.tampered:
        yield doc.id
