"""How the native engine gets to a server: TLS that verifies, Unix sockets, passwords that are not cached."""

from __future__ import annotations

import random
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from certificates import NAMES, certificate
from fault_proxy import FaultProxy
from ops import mysql
from ops.settings import SourceSettings
from runner import until
from schemas.errors import RefusedError, UnreachableError
from source_reader import SourceReader
from stack.mysql import MysqlServer

pytestmark = pytest.mark.stack


@pytest.fixture
def engine(native: str) -> str:
    return native


@pytest.fixture(scope="module")
def secure(servers: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MysqlServer, Path]]:
    """A server with a certificate for 127.0.0.1, and the folder of its authority's."""
    folder = tmp_path_factory.mktemp("tls")
    for parent in (folder, *list(folder.parents)[:3]):
        parent.chmod(0o755)
    authority = certificate(folder, "ca")
    certificate(folder, "server", authority)
    certificate(folder, "stranger")
    certificate(folder, "complete", authority, names=NAMES)
    certificate(folder, "self-signed", names=NAMES, ca=False)
    certificate(folder, "only-common-name", authority, common_name="localhost", names=())
    certificate(folder, "an-authority", names=NAMES)
    certificate(folder, "another-curve", authority, names=NAMES, curve=ec.SECP521R1())
    server = MysqlServer(
        folder / "mysql",
        args=(f"--ssl-ca={folder}/ca.pem", f"--ssl-cert={folder}/server.pem", f"--ssl-key={folder}/server-key.pem"),
    )
    server.start()
    yield server, folder
    server.stop()


class _Place:
    """Looks like the fixture `mysql`."""

    def __init__(self, server: MysqlServer) -> None:
        self.host, self.port = "127.0.0.1", server.port
        self.user, self.password = server.root.user, server.root.password

    def connect(self, **overrides: Any) -> Any:
        place = {"host": self.host, "port": self.port, "user": self.user, "password": self.password}
        return pymysql.connect(**{**place, "autocommit": True, **overrides})


@pytest.fixture
def reader(secure: tuple[MysqlServer, Path], engine: str) -> Iterator[SourceReader]:
    place = _Place(secure[0])
    with place.connect() as connection, connection.cursor() as cursor:
        cursor.execute("DROP DATABASE IF EXISTS d")
        cursor.execute("CREATE DATABASE d")
        cursor.execute("CREATE USER IF NOT EXISTS fresh IDENTIFIED BY 'sécret pass' REQUIRE NONE")
        cursor.execute("GRANT REPLICATION SLAVE ON *.* TO fresh")
        cursor.execute("FLUSH PRIVILEGES")  # empties the cache of caching_sha2_password
    found = SourceReader(place, "d", 4711, engine)
    found.sql("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    yield found
    found.connection.close()


def _connect(reader: SourceReader, **more: Any) -> dict[str, Any]:
    place = {"host": "127.0.0.1", "port": reader.mysql.port, "user": "fresh", "password": "sécret pass"}
    return {**place, **more}


def test_tls_verifies_the_server(reader: SourceReader, secure: tuple[MysqlServer, Path]) -> None:
    _, folder = secure
    connect = _connect(reader, ssl=ssl.create_default_context())
    assert reader.read(connect=connect, ca_file=folder / "ca.pem").rows == [{"id": 1}]
    for wrong in (folder / "stranger.pem", None):
        with pytest.raises(RefusedError, match="TLS with MySQL fails"):
            reader.read(connect=connect, ca_file=wrong)
    with pytest.raises(RefusedError, match="TLS with MySQL fails"):
        reader.read(connect={**connect, "host": "localhost"}, ca_file=folder / "ca.pem")


@pytest.mark.parametrize(
    ("name", "good"),
    [("complete", True), ("self-signed", True), ("only-common-name", False), ("an-authority", False),
     ("another-curve", False)],
)  # fmt: skip
def test_every_connection_wants_the_same_of_a_certificate(
    reader: SourceReader, secure: tuple[MysqlServer, Path], name: str, good: bool
) -> None:
    folder = secure[1]
    ca_file = folder / (f"{name}.pem" if name in ("self-signed", "an-authority") else "ca.pem")
    place = {"host": "localhost", "port": reader.mysql.port, "user": "fresh", "password": "sécret pass"}
    settings = SourceSettings(name="tls", tls="verify", ca_file=ca_file, **place)
    ways: dict[str, Any] = {
        "queries": lambda: mysql.connect(settings).close(),
        "native": lambda: reader.read(engine="native", connect=mysql.connect_args(settings), ca_file=ca_file),
        "portable": lambda: reader.read(engine="portable", connect=mysql.connect_args(settings)),
    }
    _present(reader, folder, name)
    try:
        for way, connect in ways.items():
            if good:
                connect()
            else:
                with pytest.raises(RefusedError, match="TLS with MySQL fails") as caught:
                    connect()
                assert "subjectAltName" in caught.value.hint, way
    finally:
        _present(reader, folder, "server")


def _present(reader: SourceReader, folder: Path, name: str) -> None:
    """The server shows this certificate to whoever connects from now on."""
    reader.sql(
        f"SET GLOBAL ssl_cert = '{folder}/{name}.pem', GLOBAL ssl_key = '{folder}/{name}-key.pem'",
        "ALTER INSTANCE RELOAD TLS",
    )


def test_an_account_that_demands_tls(reader: SourceReader, secure: tuple[MysqlServer, Path]) -> None:
    reader.sql("ALTER USER fresh REQUIRE SSL")
    try:
        with pytest.raises(RefusedError):
            reader.read(connect=_connect(reader))
        connect = _connect(reader, ssl=ssl.create_default_context())
        assert reader.read(connect=connect, ca_file=secure[1] / "ca.pem").rows == [{"id": 1}]
    finally:
        reader.sql("ALTER USER fresh REQUIRE NONE")


def test_a_password_that_the_server_has_not_cached(reader: SourceReader) -> None:
    for _ in range(2):  # with the server's public key, then from its cache
        assert reader.read(connect=_connect(reader)).rows == [{"id": 1}]
    with pytest.raises(RefusedError):
        reader.read(connect=_connect(reader, password="wrong"))
    with pytest.raises(RefusedError):
        reader.read(connect=_connect(reader, password=""))


def test_a_unix_socket(reader: SourceReader) -> None:
    ((path,),) = reader.sql("SELECT @@socket")
    connect = {"unix_socket": path, "user": "fresh", "password": "sécret pass"}
    assert reader.read(connect=connect).rows == [{"id": 1}]
    with pytest.raises(UnreachableError):
        reader.read(connect={**connect, "unix_socket": f"{path}.not"})


def test_no_password(reader: SourceReader) -> None:
    reader.sql("CREATE USER IF NOT EXISTS bare IDENTIFIED BY ''", "GRANT REPLICATION SLAVE ON *.* TO bare")
    assert reader.read(connect=_connect(reader, user="bare", password="")).rows == [{"id": 1}]


def test_sha256_accounts_are_refused_by_name(reader: SourceReader) -> None:
    reader.sql("CREATE USER IF NOT EXISTS old IDENTIFIED WITH sha256_password BY 'x'")
    with pytest.raises(RefusedError, match="sha256_password"):
        reader.read(connect=_connect(reader, user="old", password="x"))


@pytest.mark.parametrize("name", ["native", "portable"])
def test_a_damaged_byte_under_tls_is_a_lost_connection(
    reader: SourceReader, secure: tuple[MysqlServer, Path], name: str
) -> None:
    """The record's authentication tells before the event's checksum could; reading again gives what was sent."""
    authority = secure[1] / "ca.pem"
    reader.sql("INSERT INTO t VALUES (2), (3), (4), (5)", "UPDATE t SET id = id + 100 WHERE id > 1")
    with FaultProxy(reader.mysql.port) as proxy:
        encrypted = ssl.create_default_context(cafile=str(authority))
        place = {"port": proxy.port, "ssl": encrypted, "password": "sécret pass".encode()}
        way = {"engine": name, "connect": _connect(reader, **place), "ca_file": authority}
        wanted = [record.key for record in reader.read(**way).records]
        whole = proxy.down.passed_bytes
        draw = random.Random(2)
        for at in (*draw.sample(range(whole // 2, whole * 9 // 10), 4), whole * 9 // 10):
            until(lambda: not proxy.live, "the end of the connection before")
            proxy.down.flip_in = at
            with pytest.raises(UnreachableError):
                reader.read(**way)
        until(lambda: not proxy.live, "the end of the connection before")
        assert proxy.down.flips == 5
        assert [record.key for record in reader.read(**way).records] == wanted
