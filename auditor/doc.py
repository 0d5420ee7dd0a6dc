"""A document as Elasticsearch holds it: who it says it is, and its version. Nothing in it is trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from auditor.op import Op
from schemas.document import REV_LIMIT, fingerprint
from schemas.key import document_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Doc:
    """One document. A field of `_cdc` that is absent or of another type is None; versions are 0 in lists.

    `elsewhere`: it is not where a get of its id would look. `source`: the whole `_source`, where it was asked for.
    """

    id: str
    routing: str | None = None
    version: int = 0
    seq_no: int = 0
    primary_term: int = 0
    key: str | None = None
    topic_id: str | None = None
    partition: int | None = None
    offset: int | None = None
    seq: int | None = None
    rev: int | None = None
    fp: int | None = None
    elsewhere: bool = False
    source: Mapping[str, Any] | None = None

    @classmethod
    def read(cls, hit: Mapping[str, Any], *, whole: bool = False) -> Doc:
        """From a search hit or a get: `_id`, `_source` with `_cdc`, and the versions if they were asked for.

        `whole`: keep `_source`.
        """
        source = hit.get("_source")
        block = source.get("_cdc") if isinstance(source, Mapping) else None
        cdc: Mapping[str, Any] = block if isinstance(block, Mapping) else {}
        texts = {name: cdc[name] for name in ("key", "topic_id") if isinstance(cdc.get(name), str)}
        numbers = {
            name: cdc[name]
            for name in ("partition", "offset", "seq", "rev", "fp")
            if isinstance(cdc.get(name), int) and not isinstance(cdc[name], bool)
        }
        return cls(
            id=hit["_id"],
            routing=hit.get("_routing"),
            version=hit.get("_version", 0),
            seq_no=hit.get("_seq_no", 0),
            primary_term=hit.get("_primary_term", 0),
            source=source if whole and isinstance(source, Mapping) else None,
            **texts,
            **numbers,
        )

    def shows(self, op: Op, topic_id: str) -> bool:
        """True if this is the document that the operation makes."""
        mine = (self.topic_id, self.key, self.partition, self.offset, self.seq)
        if self.elsewhere or mine != (topic_id, op.key, op.partition, op.offset, op.seq):
            return False
        return op.present and self.at_home and self.fp == fingerprint(op.key, op.partition, op.offset)

    @property
    def tampered(self) -> bool:
        """True if its version is not the one that its event, or a repair, gave it."""
        if self.seq is None or self.rev is None or not 0 <= self.rev <= REV_LIMIT:
            return True
        return self.version != self.seq + self.rev

    @property
    def at_home(self) -> bool:
        """True if its id is that of the key it claims."""
        return self.key is not None and self.id == document_id(self.key)
