"""COM_BINLOG_DUMP_GTID with a set of ours: gaps and tags as they are. Text in, bytes out.

Layout: `Gtid_set::encode` in MySQL's `sql/rpl_gtid_set.cc`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from uuid import UUID

COM_BINLOG_DUMP_GTID = 0x1E
_THROUGH_GTID = 0x04
_BEGINNING = 4
_TAGGED_FORMAT = 1
_INTERVAL = re.compile(r"(\d+)(?:-(\d+))?")
_Intervals = list[tuple[int, int]]


def dump_gtid_command(gtid_set: str, server_id: int) -> bytes:
    """What follows the command byte: everything but `gtid_set`, from the first file on that holds more."""
    encoded = encode_gtid_set(gtid_set)
    return struct.pack("<HIIQI", _THROUGH_GTID, server_id, 0, _BEGINNING, len(encoded)) + encoded


def encode_gtid_set(gtid_set: str) -> bytes:
    """Since 8.3 a set with tags has another head, and a tag after each UUID; older servers know only the plain form."""
    sources = list(_sources(gtid_set))
    tagged = any(tag for _, tag, _ in sources)
    head = _TAGGED_FORMAT << 56 | len(sources) << 8 | _TAGGED_FORMAT if tagged else len(sources)
    parts = [struct.pack("<Q", head)]
    for uuid, tag, intervals in sources:
        parts.append(UUID(uuid).bytes)
        if tagged:
            parts.append(bytes((len(tag) << 1,)) + tag.encode())  # a number of one byte, in MySQL's variable length
        parts.append(struct.pack("<Q", len(intervals)))
        parts.extend(struct.pack("<QQ", first, last + 1) for first, last in intervals)
    return b"".join(parts)


def _sources(gtid_set: str) -> Iterator[tuple[str, str, _Intervals]]:
    """`uuid:1-3:5:tag:7` is a UUID without a tag, and the same one with it."""
    for item in filter(None, gtid_set.replace("\n", "").replace(" ", "").split(",")):
        uuid, *parts = item.split(":")
        tag = ""
        intervals: _Intervals = []
        for part in parts:
            if found := _INTERVAL.fullmatch(part):
                intervals.append((int(found[1]), int(found[2] or found[1])))
                continue
            if intervals:
                yield uuid, tag, intervals
            tag, intervals = part, []
        yield uuid, tag, intervals
