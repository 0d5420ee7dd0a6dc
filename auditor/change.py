"""One write of a repair: an event indexed again, or a document deleted, with the smallest revision that wins. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from auditor.doc import Doc
from schemas.document import REV_LIMIT, cdc_block

_CURRENT = re.compile(r"current version \[(\d+)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """`seq` + `rev` is the version to write; `seq` None: deleted only if the document is still `seen`.

    `fields`: of the document to index, None to delete; `block`: the `_cdc` fields of it, without rev. `routing`: what
    goes with the `id`, if anything does.
    """

    id: str
    seq: int | None
    rev: int = 1
    fields: Mapping[str, Any] | None = None
    block: Mapping[str, Any] | None = None
    seen: Doc | None = None
    routing: str | None = None

    @property
    def version(self) -> int | None:
        return None if self.seq is None else self.seq + self.rev

    @property
    def possible(self) -> bool:
        """False if no revision of the event wins over what somebody wrote."""
        return self.rev <= REV_LIMIT

    def over(self, version: int) -> Change:
        """The same with the smallest revision whose version is higher than this one."""
        return self if self.seq is None else replace(self, rev=max(1, version - self.seq + 1))

    def lines(self, index: str) -> bytes:
        """Its lines of a bulk request."""
        target: dict[str, Any] = {"_index": index, "_id": self.id}
        if self.routing is not None:
            target["routing"] = self.routing
        if self.seq is None and self.seen is not None:
            target |= {"if_seq_no": self.seen.seq_no, "if_primary_term": self.seen.primary_term}
        else:
            target |= {"version": self.version, "version_type": "external"}
        if self.fields is None or self.block is None:
            return _line({"delete": target})
        return _line({"index": target}) + _line({**self.fields, "_cdc": cdc_block(**self.block, rev=self.rev)})


def _line(record: Mapping[str, Any]) -> bytes:
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


def current_version(reason: str) -> int | None:
    """The version that a conflict's text names; a deleted document's is to be had in no other way."""
    found = _CURRENT.search(reason)
    return int(found[1]) if found else None
