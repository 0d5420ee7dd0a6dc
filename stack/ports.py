"""Free TCP ports on the loopback interface."""

from __future__ import annotations

import random
import socket
from collections.abc import Collection

HOST = "127.0.0.1"
# Below the range that Linux takes outgoing connections' ports from (32768 and up): while a server is
# down between kill and restart, nobody's outgoing connection can sit on its port.
FIRST, LAST = 15_000, 32_000

_random = random.SystemRandom()


def is_free(port: int, host: str = HOST) -> bool:
    """True if a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_port(taken: Collection[int] = ()) -> int:
    """A random free port that is not in `taken`."""
    for _ in range(1_000):
        port = _random.randrange(FIRST, LAST)
        if port not in taken and is_free(port):
            return port
    raise OSError(f"no free port between {FIRST} and {LAST} on {HOST}")


def free_ports(count: int) -> list[int]:
    """That many different free ports."""
    found: list[int] = []
    while len(found) < count:
        found.append(free_port(found))
    return found
