"""How much a client may send to a broker: no client library of ours speaks of quotas, so the request is built by hand.

AlterClientQuotas, version 0: https://kafka.apache.org/protocol#The_Messages_AlterClientQuotas
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

_ALTER_CLIENT_QUOTAS = 49
_KEY = "producer_byte_rate"


@contextmanager
def throttled(port: int, client_id: str, bytes_per_s: float) -> Iterator[None]:
    """The broker takes that many bytes a second of a client's records, while the block runs."""
    _alter(port, client_id, bytes_per_s)
    try:
        yield
    finally:
        _alter(port, client_id, None)


def _alter(port: int, client_id: str, bytes_per_s: float | None) -> None:
    """Set the quota, or take it away."""
    entity = _array(_text("client-id") + _text(client_id))
    change = _array(_text(_KEY) + struct.pack(">d?", bytes_per_s or 0.0, bytes_per_s is None))
    request = struct.pack(">hhi", _ALTER_CLIENT_QUOTAS, 0, 1) + _text("tests")
    request += _array(entity + change) + struct.pack(">?", False)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plug:
        plug.sendall(struct.pack(">i", len(request)) + request)
        with plug.makefile("rb") as stream:
            (length,) = struct.unpack(">i", stream.read(4))
            answer = stream.read(length)
    # correlation id, throttle time, number of entries, and the first one's error code
    code = struct.unpack_from(">iiih", answer)[3]
    assert code == 0, f"Kafka refuses the quota: error {code}"


def _text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


def _array(*items: bytes) -> bytes:
    return struct.pack(">i", len(items)) + b"".join(items)
