"""The configuration: strict, layered, with suggestions."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.protections import protections
from ops.config import load
from ops.health import Health, HealthServer
from ops.kafka import admin
from ops.mysql import connect_args
from schemas.errors import ConfigError, ExitCode

GOOD = '[source]\nname = "shop"\nhost = "db1"\n[cdc]\ntables = ["shop.*"]\n'


def _table(text: str) -> str:
    return f'{GOOD}[sink.tables."shop.c"]\n{text}\n'


@pytest.fixture
def write(tmp_path: Path):
    def make(text: str | bytes) -> Path:
        path = tmp_path / "tidemark.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return make


def test_layers_and_origin(write) -> None:
    env = {"TIDEMARK_SOURCE__HOST": "db2", "TIDEMARK_CDC__EXCLUDE": "shop.a, shop.b", "TIDEMARK_KAFKA__PARTITIONS": "3"}
    loaded = load(write(GOOD), environ=env, flags={"kafka.partitions": 4})
    assert loaded.settings.source.host == "db2"
    assert loaded.settings.kafka.partitions == 4
    assert loaded.settings.cdc.exclude == ["shop.a", "shop.b"]
    assert loaded.origin["source.host"] == "environment"
    assert loaded.origin["kafka.partitions"] == "flag"
    assert loaded.origin["source.name"].startswith("file ")
    assert "cdc.heartbeat_s" not in loaded.origin


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + "heartbeats = 1\n", "unknown key `cdc.heartbeats`; did you mean `cdc.heartbeat_s`"),
        (GOOD + '[sinc]\ngroup = "x"\n', "unknown key `sinc`; did you mean `sink`"),
        (GOOD + '[sink.tables."a.b"]\nindx = "x"\n', "did you mean `sink.tables.a.b.index`"),
        (GOOD + "heartbeat_s = -1\n", "`cdc.heartbeat_s`"),
        (GOOD + 'heartbeat_s = "x"\nlinger_s = "y"\n', "`cdc.linger_s`"),
        ('[source]\nname = "Shop"\n', "`source.name`"),
        ("[cdc]\ntables = []\n", "`source` is required"),
        (GOOD + '[kafka]\npassword = 123\nuser = "u"\n', "`kafka.password`"),
        (GOOD + '[kafka]\npassword = "a"\npassword_file = "b"\n', "either password or password_file"),
        (GOOD + 'tables = ["x"]\n', "not valid TOML"),
        (GOOD + "x = 0123\n", "not valid TOML"),
        (b"\xff\xfe", "not valid TOML"),
        (GOOD + '[elasticsearch]\nurls = ["http://u:p@h:1"]\n', "`elasticsearch.urls`"),
        (GOOD + "[kafka]\npartitions = true\n", "`kafka.partitions`: a number is wanted"),
        (GOOD + "heartbeat_s = inf\n", "`cdc.heartbeat_s`"),
        (GOOD + "heartbeat_s = 31\n", "`cdc.heartbeat_s`"),
        (GOOD + '[kafka]\nuser = "u"\npassword = "p"\n', "not used without sasl_mechanism"),
        (GOOD + '[cdc.table."shop.c"]\nexclude = ["a"]\nmask = ["A"]\n', "column A is in mask and in exclude"),
        (GOOD + '[cdc.table."shop.c"]\nmask = ["a"]\noptional = ["b"]\n', "optional names b, in none of exclude"),
        (GOOD + '[cdc.table."shop.c"]\nhash = ["a"]\n', "`cdc`: columns are to be hashed, and hash_key_file is not"),
        (GOOD + '[cdc.table."shop.c"]\nhashes = ["a"]\n', "did you mean `cdc.table.shop.c.hash`"),
        (_table('fields.include = ["a"]\nfields.exclude = ["b"]'), "either include or exclude, not both"),
        (_table('fields.rename = { a = "x", b = "x" }'), "several columns are renamed to x"),
        (_table('fields.rename = { a = "_cdc" }'), "`_cdc` cannot be a field"),
        (_table('fields.rename = { a = "b.c" }'), "`b.c` cannot be a field"),
        (_table('fields.exclude = ["a"]\nfields.type = { A = "keyword" }'), "type has A, which is left out"),
        (_table('fields.type = { a = "keyword", A = "text" }'), "type has a column twice"),
        (_table('filter = [{ column = "a", op = "==", value = 1 }]'), "filter.0.op`"),
        (_table('filter = [{ column = "a" }]'), "`=` needs a value"),
        (_table('filter = [{ column = "a", op = "is null", value = 1 }]'), "`is null` has no value"),
        (_table('filter = [{ column = "a", op = "in", value = 1 }]'), "the value of `in` is a list"),
        (_table('filter = [{ column = "a", value = [1] }]'), "the value of `=` is no list"),
        (_table('filter = [{ column = "a", value = 2026-11-21 }]'), "filter.0.value"),
        (_table('transform = "os.system(1)"'), "transform`"),
        (_table("settings.index.gc_deletes = 1"), "gc_deletes cannot be set"),
        (_table('settings = { "default_pipeline" = "p" }'), "default_pipeline cannot be set"),
        (GOOD + '[sink.tables."shop.*"]\nindex = "x"\n', "sink.tables.shop.*"),
        (GOOD + '[cdc.table."shop.c"]\nexclude = [""]\n', "`cdc.table.shop.c.exclude.0`"),
    ],
)
def test_faults_are_named(write, text: str | bytes, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(text), environ={})
    assert said in str(caught.value)
    assert caught.value.exit_code is ExitCode.USAGE


def test_all_faults_at_once(write) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(GOOD + "nope = 1\nlinger_s = -1\n[kafka]\nx = 1\n"), environ={})
    assert all(word in str(caught.value) for word in ("cdc.nope", "cdc.linger_s", "kafka.x"))


def test_unknown_environment_is_an_error(write) -> None:
    with pytest.raises(ConfigError, match="unknown key `soruce`"):
        load(write(GOOD), environ={"TIDEMARK_SORUCE__HOST": "x"})
    load(write(GOOD), environ={"TIDEMARK_TEST_MYSQL": "x", "TIDEMARK_SAKILA": "y"})


def test_byte_order_mark_and_size(write) -> None:
    assert load(write(b"\xef\xbb\xbf" + GOOD.encode()), environ={}).settings.source.name == "shop"
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        load(write("#" * (1 << 20) + "\n" + GOOD), environ={})


def test_secrets_come_from_files_and_are_masked(write, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("p%ss\nw0rd\n")
    settings = load(write(f'[source]\nname = "s"\npassword_file = "{secret}"\n'), environ={}).settings
    assert settings.source.secret() == "p%ss\nw0rd"
    inline = load(write('[source]\nname = "s"\npassword = "canary"\n'), environ={}).settings
    assert "canary" not in repr(inline)
    assert inline.source.secret() == "canary"


def test_files_that_cannot_be_read(write, tmp_path: Path) -> None:
    text = f'[source]\nname = "s"\npassword_file = "{tmp_path}/none"\ntls = "verify"\nca_file = "{tmp_path}/ca"\n'
    source = load(write(text), environ={}).settings.source
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        source.secret()
    assert caught.value.where == f"{tmp_path}/none"
    (tmp_path / "none").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        connect_args(source)
    (tmp_path / "none").write_text("secret")
    with pytest.raises(ConfigError, match="cannot be read"):
        connect_args(source)
    (tmp_path / "ca").write_text("no certificate")
    kafka = load(write(f'{GOOD}[kafka]\ntls = true\nca_file = "{tmp_path}/ca"\n'), environ={}).settings.kafka
    with pytest.raises(ConfigError, match="refuses the settings"):
        admin(kafka, "test")


@pytest.mark.parametrize("listen", ["nonsense", ":9701", "127.0.0.1:99999", "127.0.0.1:x"])
def test_addresses(listen: str) -> None:
    with pytest.raises(ConfigError, match="is no address"):
        HealthServer(Health("cdc", "x"), listen)


def test_sizes(write) -> None:
    text = GOOD + 'max_batch_bytes = "2MiB"\n[audit]\nmemory = "1 GiB"\n'
    settings = load(write(text), environ={}).settings
    assert (settings.cdc.max_batch_bytes, settings.audit.memory) == (2 << 20, 1 << 30)


def test_no_configuration_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="no configuration") as caught:
        load(environ={"XDG_CONFIG_HOME": str(tmp_path)})
    assert "tidemark init" in caught.value.hint
    with pytest.raises(ConfigError, match="does not exist"):
        load(Path("nope.toml"), environ={})


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (b"k" * 32 + b"\n", 0o600, ""),
        (b"k" * 32 + b"\r\n", 0o640, ""),
        (b"k" * 32, 0o400, ""),
        (b"k" * 31 + b"\n", 0o600, "too short: 31 bytes"),
        (b"", 0o600, "too short: 0 bytes"),
        (b"k" * 32, 0o644, "open to other users: its mode is 0644"),
        (b"k" * 32, 0o620, "open to other users"),
        (None, 0o600, "cannot be read: No such file"),
    ],
)
def test_the_key_of_hashes_is_a_secret_file(write, tmp_path: Path, content: bytes | None, mode: int, said: str) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    text = GOOD + f'hash_key_file = "{path}"\n[cdc.table."shop.*"]\nhash = ["email"]\n'
    settings = load(write(text), environ={}).settings
    if not said:
        key = protections(settings).key
        assert key is not None
        assert key.reveal() == b"k" * 32
        return
    with pytest.raises(ConfigError, match=said) as caught:
        protections(settings)
    assert caught.value.where == str(path)
    assert "kkk" not in f"{caught.value!r}{caught.value.hint}"


def test_no_key_is_read_where_nothing_is_hashed(write) -> None:
    text = GOOD + 'hash_key_file = "missing"\n[cdc.table."shop.*"]\nmask = ["email"]\n'
    assert protections(load(write(text), environ={}).settings).key is None
