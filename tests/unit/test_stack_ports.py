from __future__ import annotations

import socket

import pytest

from stack import ports


def test_a_listener_makes_a_port_taken() -> None:
    with socket.socket() as server:
        server.bind((ports.HOST, 0))
        server.listen()
        assert not ports.is_free(server.getsockname()[1])


def test_a_restarted_server_gets_its_port_although_old_connections_linger() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((ports.HOST, 0))
        server.listen()
        port = server.getsockname()[1]
        client = socket.create_connection((ports.HOST, port))
        accepted, _ = server.accept()
        accepted.close()  # closed by the server first, so its side stays in TIME_WAIT
        client.close()
    assert ports.is_free(port)


def test_ports_lie_below_those_of_outgoing_connections() -> None:
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:  # noqa: PTH123
        lowest = int(file.read().split()[0])
    assert ports.FIRST <= ports.free_port() < ports.LAST <= lowest


def test_free_ports_differ() -> None:
    assert len(set(ports.free_ports(20))) == 20


def test_no_port_left_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda _port: False)
    with pytest.raises(OSError, match="no free port"):
        ports.free_port()
