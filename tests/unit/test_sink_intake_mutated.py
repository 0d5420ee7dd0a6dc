"""Records that were tampered with: what is read natively, Python reads as well, and alike."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from schemas.extension import EXTENSION, MISSING
from sink import share
from sink.share import Intake
from sink_kit import BASE, Message, part_of

pytestmark = pytest.mark.skipif(EXTENSION is None, reason=MISSING)

_ROUNDS = 12_000


def _event(after: dict[str, Any] | None, before: dict[str, Any] | None = None) -> bytes:
    source = {"name": "shop", "ts_ms": 1000, "table_version": 1, "file": "bin.000001", "seq": BASE + 1}
    about = {"transaction": {"id": "x:1", "total_order": 1}, "op": "u" if after else "d", "ts_ms": 2, "ts_us": 2000}
    return orjson.dumps({"before": before, "after": after, "source": source, **about})


EVENTS = [
    _event(
        {"id": 1, "note": 'text \\ é " }', "n": [12, -1.5e3, True, None], "doc": {"after": {}, "source": {"seq": 3}}}
    ),
    _event(None, {"id": 1, "a": "b"}),
    _event({"id": '},"after":{', "s": '},"source":{'}, {"id": 2}),
]
KEYS = [b'{"id":1}', b'{"shop":12,"id":"a text"}', rb'{"a":"b\"c"}']
BYTES = [*b' \n\t\0\x7f\xff,:"\\{}[]', b"\xed\xa0\x80", b"\xc3", b"\xe2\x80\xa8", rb"\ud800", rb"\u000a", b"sha256:"]
VALUES = [
    *(b"-0", b"01", b"1.0", b"1e5", b"1e309", b"-1", b"NaN", b"null", b"true", b"{}", b"[ ]", b"1" * 30, b"x" * 513),
    *(b"%d" % number for number in (BASE, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1 << 64)),
    b"[" * 1100 + b"]" * 1100,
]
NAMES = [b"id", b"seq", rb"s\u0065q", b"after", rb"\u0069d", b"_cdc", rb"\u005fcdc", b"a.b", b"", b"op", b"ts_ms"]
PIECES = [bytes([piece]) if isinstance(piece, int) else piece for piece in BYTES] + VALUES


def _tampered(rng: random.Random, text: bytes) -> bytes:
    """Cut, put in, or with another number, name or text, or one more member."""
    place = rng.randrange(len(text) + 1)
    kind = rng.choice(("bytes", "number", "member", "text"))
    marks = {"number": b"0123456789", "member": b"{,}", "text": b'"'}.get(kind, b"")
    places = [place for place, byte in enumerate(text) if byte in marks]
    if kind == "bytes" or not places:
        return text[:place] + rng.choice([b"", *PIECES]) + text[place + rng.randrange(9) :]
    place = rng.choice(places)
    if kind == "number":
        rest = text[place:].lstrip(b"0123456789")
        return text[:place].rstrip(b"0123456789") + rng.choice(VALUES) + rest
    if kind == "member":
        member = b'"%b":%b' % (rng.choice(NAMES), rng.choice(VALUES))
        return (
            text[:place]
            + (b"," + member + b"}" if text[place] == ord("}") else text[place : place + 1] + member + b",")
            + text[place + 1 :]
        )
    end = text.find(b'"', place + 1)
    return text[: place + 1] + rng.choice(NAMES) + text[end:]


def _told(read: Intake) -> list[Any]:
    """Lines as JSON: a number may be written otherwise."""
    return [
        (mine.offsets, mine.seqs, mine.keys, mine.values, mine.value_sizes, mine.newest_ms,
         [orjson.loads(line) for line in mine.lines.splitlines()])
        for mine in read.shares
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(2))
def test_what_is_tampered_with_is_read_alike_or_not_at_all(seed: int) -> None:
    rng, natively = random.Random(seed), 0
    part = part_of(3)
    part.floor = BASE - 1
    for _ in range(_ROUNDS):
        key, value = rng.choice(KEYS), rng.choice(EVENTS)
        for _ in range(rng.choice((1, 1, 2))):
            key, value = (_tampered(rng, key), value) if rng.random() < 0.3 else (key, _tampered(rng, value))
        messages: list[Any] = [Message(7, key, value)]
        native = share.natively(EXTENSION, part, messages, version=1, lanes=2)
        if native is not None:
            natively += 1
            python = share.slowly(part, messages, version=1, lanes=2)
            assert python is not None, (key, value)
            assert (native.opened, _told(native)) == (python.opened, _told(python)), (key, value)
    assert natively > _ROUNDS // 100
