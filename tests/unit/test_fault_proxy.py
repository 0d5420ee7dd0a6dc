"""The proxy that other tests trust: each fault does what it says."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from fault_proxy import FaultProxy
from runner import until


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that says everything back."""

    def serve(plug: socket.socket) -> None:
        with plug:
            try:
                while data := plug.recv(4096):
                    plug.sendall(data)
            except ConnectionError:
                return

    def accept() -> None:
        while True:
            try:
                plug, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=(plug,)))
            threads[-1].start()

    threads: list[threading.Thread] = []
    listener = socket.create_server(("127.0.0.1", 0))
    accepting = threading.Thread(target=accept)
    accepting.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    accepting.join(60)
    for thread in threads:
        thread.join(60)


@pytest.fixture
def proxy(echo: int) -> Iterator[FaultProxy]:
    with FaultProxy(echo) as found:
        yield found


@pytest.fixture
def plug(proxy: FaultProxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=60) as found:
        yield found


def read(plug: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count and (more := plug.recv(count - len(found))):
        found += more
    return found


def test_without_faults_everything_goes_through(proxy: FaultProxy, plug: socket.socket) -> None:
    text = bytes(range(256)) * 4000
    sending = threading.Thread(target=plug.sendall, args=(text,))
    sending.start()
    assert read(plug, len(text)) == text
    sending.join(60)
    assert (proxy.connections, proxy.down.passed_bytes) == (1, len(text))


def test_slices(proxy: FaultProxy, plug: socket.socket) -> None:
    proxy.down.slice_bytes = 3
    plug.sendall(b"x" * 2000)
    assert read(plug, 2000) == b"x" * 2000


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_stall_ends_with_nothing_lost(proxy: FaultProxy, plug: socket.socket, direction: str) -> None:
    getattr(proxy, direction).stalled = True
    plug.sendall(b"later")
    plug.settimeout(0.2)
    with pytest.raises(TimeoutError):
        plug.recv(1)
    plug.settimeout(5)
    proxy.stall(stalled=False)
    assert read(plug, 5) == b"later"


def test_a_cut(proxy: FaultProxy, plug: socket.socket) -> None:
    proxy.down.cut_in = 4
    plug.sendall(b"1234567")
    assert read(plug, 7) == b"1234"


def test_a_cut_after_a_text(proxy: FaultProxy, plug: socket.socket) -> None:
    proxy.down.cut_text = b"xyz"
    plug.sendall(b"abxy")
    assert read(plug, 4) == b"abxy"
    plug.sendall(b"zzz")
    assert read(plug, 3) == b"z"
    assert proxy.down.cuts == 1


def test_a_narrow_line(proxy: FaultProxy, plug: socket.socket) -> None:
    proxy.up.bytes_per_s = 10_000
    began = time.monotonic()
    plug.sendall(b"x" * 3000)
    assert read(plug, 3000) == b"x" * 3000
    assert time.monotonic() - began > 0.29


@pytest.mark.parametrize("how", ["a cut", "a call"])
def test_resets(proxy: FaultProxy, plug: socket.socket, how: str) -> None:
    plug.sendall(b"1")
    assert read(plug, 1) == b"1"
    if how == "a cut":
        proxy.cut, proxy.down.cut_in = "reset", 1
        plug.sendall(b"2")
        until(lambda: proxy.down.passed_bytes == 2, "the byte before the reset")
    else:
        proxy.reset()
    with pytest.raises(ConnectionResetError):
        read(plug, 100)


def test_flips(proxy: FaultProxy, plug: socket.socket) -> None:
    proxy.down.flip_in = 2
    plug.sendall(b"abcd")
    assert read(plug, 4) == b"ab\x9cd"
    proxy.down.flip_text = b"xyz"
    plug.sendall(b"..xy")
    assert read(plug, 4) == b"..xy"
    plug.sendall(b"z..xyz")
    assert read(plug, 6) == b"\x85..xyz"
    assert proxy.down.flips == 2


def test_latency(proxy: FaultProxy, plug: socket.socket) -> None:
    proxy.up.latency_s = 0.3
    began = time.monotonic()
    plug.sendall(b"x")
    assert plug.recv(1) == b"x"
    assert time.monotonic() - began > 0.29


def test_a_server_that_refuses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    def connect() -> None:
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=60) as plug:
            read(plug, 1)

    with FaultProxy(port) as proxy, pytest.raises(ConnectionResetError):
        connect()


def test_a_cut_that_nobody_is_told_of(proxy: FaultProxy, plug: socket.socket) -> None:
    proxy.cut, proxy.down.cut_in = "stall", 4
    plug.sendall(b"1234567")
    assert read(plug, 4) == b"1234"
    plug.settimeout(0.2)
    with pytest.raises(TimeoutError):
        plug.recv(1)


def test_what_has_arrived_at_a_stalled_line(proxy: FaultProxy, plug: socket.socket) -> None:
    proxy.up.stalled, proxy.up.arrived = True, bytearray()
    for piece in (b"head", b"body"):
        plug.sendall(piece)
        until(lambda piece=piece: proxy.up.arrived.endswith(piece), "it is held")
    assert proxy.up.passed_bytes == 0
    proxy.up.stalled = False
    assert read(plug, 8) == b"headbody"
