"""What the stack prints can be used as it is."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path

import pytest

from ops.config import load
from stack import Account, ServerState, ServerStatus, StackStatus
from stack.config import addresses, render_shell, render_toml
from stack.elasticsearch import render_settings, without_gc_log
from stack.errors import CancelledError
from stack.kafka import KafkaServer, render_properties
from stack.run import Outcome
from stack.status import MysqlStatus
from stack.watcher import Watcher


def status(folder: Path, *, password: str = "s3cret", port: int = 20001) -> StackStatus:
    (folder / "tidemark-password").write_text(password)
    base = {"state": ServerState.RUNNING, "host": "127.0.0.1", "pid": 7, "version": "1", "log": folder / "log"}
    return StackStatus(
        state_dir=folder,
        mysql=MysqlStatus(
            name="mysql",
            port=port,
            root=Account(user="root", password=password, password_file=folder / "root-password"),
            capture=Account(user="tidemark", password=password, password_file=folder / "tidemark-password"),
            socket=folder / "mysqld.sock",
            **base,
        ),
        kafka=ServerStatus(name="kafka", port=20002, **base),
        elasticsearch=ServerStatus(name="elasticsearch", port=20003, **base),
    )


@pytest.mark.parametrize("folder", ["plain", 'with "quotes" and \\', "with\ttab", "ünï"])
def test_the_configuration_is_what_tidemark_reads(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    found = status(tmp_path / folder)
    path = tmp_path / "tidemark.toml"
    path.write_text(render_toml(addresses(found), name="shop", tables=["shop.*", "other.t"]), encoding="utf-8")
    settings = load(path, environ={}).settings
    assert (settings.source.host, settings.source.port, settings.source.user) == ("127.0.0.1", 20001, "tidemark")
    assert settings.source.secret() == "s3cret"
    assert settings.kafka.bootstrap_servers == "127.0.0.1:20002"
    assert settings.elasticsearch.urls == ["http://127.0.0.1:20003"]
    assert settings.cdc.tables == ["shop.*", "other.t"]


def test_no_password_is_printed_where_a_file_will_do(tmp_path: Path) -> None:
    found = status(tmp_path)
    assert "s3cret" not in render_toml(addresses(found), name="shop", tables=[])
    assert "s3cret" not in json.dumps(found.to_json())


def test_toml_is_toml_whatever_the_names(tmp_path: Path) -> None:
    odd = 'a"b\\c\x7f\n'
    assert tomllib.loads(render_toml(addresses(status(tmp_path)), name=odd, tables=[odd]))["cdc"]["tables"] == [odd]


@pytest.mark.parametrize("value", ["plain", 'it\'s $HOME `x` "y" \\', "mysql://root:a%2Fb@h:1"])
def test_shell_lines_survive_the_shell(value: str) -> None:
    script = render_shell({"TIDEMARK_X": value}) + 'printf %s "$TIDEMARK_X"'
    assert subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout == value


def test_the_url_quotes_the_password(tmp_path: Path) -> None:
    assert status(tmp_path, password="a/b@c:d").mysql.url == "mysql://root:a%2Fb%40c%3Ad@127.0.0.1:20001"


def test_known_addresses_need_a_first_start(tmp_path: Path) -> None:
    assert status(tmp_path).started_once
    assert not status(tmp_path, port=0).started_once


def test_server_settings() -> None:
    assert render_properties({"a": "b", "log.dirs": "/x\\y"}) == "a=b\nlog.dirs=/x\\\\y\n"
    assert render_settings({"a.b": False, "c": 'd"'}) == 'a.b: false\nc: "d\\""\n'
    options = "-XX:+UseG1GC\n-Xlog:gc*:file=gc.log\n17:-Xlog:gc*,x:file=logs/gc.log\n# -Xlog:gc in words\n-Da=b\n"
    assert without_gc_log(options).split("\n") == ["-XX:+UseG1GC", "", "", "# -Xlog:gc in words", "-Da=b", ""]


def test_a_killed_ones_format_of_kafkas_folder_does_not_find_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its Java may live on for a moment, and read what to format only then."""
    read: list[Path] = []

    def run(command: list[str], **_: object) -> Outcome:
        read.append(Path(command[-1]))
        assert [path for path in read if path.exists()] == read[-1:]
        if len(read) == 1:
            raise CancelledError("killed")
        return Outcome(code=0, output="")

    monkeypatch.setattr("stack.kafka.run", run)
    server = KafkaServer(tmp_path)
    server._note(ports={"port": 1, "controller": 2})
    with pytest.raises(CancelledError):
        server._format(Watcher())
    server._format(Watcher())
    assert len(set(read)) == 2
    assert not list(tmp_path.glob("format.*"))
