"""Bad input: a clear error with a hint, the right exit code, nothing lost."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oracle import documents
from runner import until
from servers import Elastic, Mysql
from stack.ports import free_port
from topic import read_topics

pytestmark = pytest.mark.stack
Configure = Callable[..., Path]
GRANTS = ("REPLICATION SLAVE, REPLICATION CLIENT ON *.*", "SELECT ON *.*")


@pytest.fixture
def shop(mysql: Mysql, database: str) -> Iterator[str]:
    with mysql.connect(database=database) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(30))")
    return database


@pytest.fixture
def cdc(shop: str) -> dict[str, object]:
    return {"tables": [f"{shop}.*"], "start": "latest"}


def test_unknown_key(tidemark, configure: Configure, cdc) -> None:
    done = tidemark("cdc", "run", "-c", configure("bad_key", cdc={**cdc, "tabels": []}))
    assert done.code == 2
    assert "unknown key `cdc.tabels`; did you mean `cdc.tables`" in done.err
    assert done.out == ""


def test_wrong_password(tidemark, configure: Configure, cdc) -> None:
    done = tidemark("cdc", "run", "-c", configure("bad_password", cdc=cdc, source={"password": "canary-wrong"}))
    assert done.code == 3
    assert "refuses the login" in done.err
    assert "password_file" in done.err
    assert "canary" not in done.err


def test_password_with_odd_characters(tidemark, configure: Configure, cdc, user) -> None:
    account = user(*GRANTS, password="p%s'\"\\ #ü\tx")
    done = tidemark("doctor", "-c", configure("odd_password", cdc=cdc, source=account), "--json")
    assert done.code == 0, done.err + done.out
    assert json.loads(done.out)["ok"] is True


def test_unreachable_servers(tidemark, configure: Configure, cdc) -> None:
    port = free_port()
    quick = {"start_timeout_s": 2}
    for section, keys in (
        ("source", {"port": port}),
        ("kafka", {"bootstrap_servers": f"127.0.0.1:{port}"}),
    ):
        done = tidemark("cdc", "run", "-c", configure(f"away_{section}", cdc=cdc, service=quick, **{section: keys}))
        assert done.code == 3, done.err
        assert str(port) in done.err
    away = configure("away_elastic", service=quick, elasticsearch={"urls": [f"http://127.0.0.1:{port}"]})
    done = tidemark("sink", "run", "-c", away)
    assert done.code == 3, done.err
    assert str(port) in done.err


@pytest.mark.parametrize(
    ("granted", "missing"),
    [
        (("SELECT ON *.*", "REPLICATION CLIENT ON *.*"), "GRANT REPLICATION SLAVE ON *.* TO '{user}'@'%';"),
        (("SELECT ON *.*", "REPLICATION SLAVE ON *.*"), "GRANT REPLICATION CLIENT ON *.* TO '{user}'@'%';"),
        (("REPLICATION SLAVE, REPLICATION CLIENT ON *.*",), "GRANT SELECT ON `{db}`.* TO '{user}'@'%';"),
    ],
)
def test_missing_grants(tidemark, configure: Configure, cdc, shop: str, user, granted, missing: str) -> None:
    account = user(*granted)
    config = configure("no_grant", cdc=cdc, source=account)
    wanted = missing.format(user=account["user"], db=shop)
    done = tidemark("cdc", "run", "-c", config)
    assert (done.code, wanted in done.err) == (4, True), done.err
    done = tidemark("doctor", "-c", config, "--json")
    assert done.code == 4
    remedies = [finding["remedy"] for finding in json.loads(done.out)["findings"]]
    assert wanted in remedies


def test_a_filter_that_matches_nothing(tidemark, configure: Configure) -> None:
    done = tidemark("cdc", "run", "-c", configure("nothing", cdc={"tables": ["no_such_db.*"]}))
    assert done.code == 4
    assert "no_such_db.*" in done.err
    assert "allow_empty" in done.err
    done = tidemark("cdc", "run", "-c", configure("no_tables", cdc={"tables": []}))
    assert done.code == 2
    done = tidemark("cdc", "run", "-c", configure("no_dot", cdc={"tables": ["shop"]}))
    assert done.code == 2


def test_port_in_use(tidemark, make_pipeline, configure: Configure, cdc) -> None:
    pipeline = make_pipeline("port_owner", cdc=cdc)
    pipeline.start("cdc")
    taken = {"cdc_listen": pipeline.listen["cdc"]}
    other = configure("port_taker", cdc=cdc)
    text = other.read_text()
    other.write_text(text.replace(text.split('"cdc_listen" = "')[1].split('"')[0], taken["cdc_listen"]))
    done = tidemark("cdc", "run", "-c", other)
    assert done.code == 2
    assert "cdc_listen" in done.err
    assert pipeline.stop("cdc") == 0


def test_refused_tables_are_named_and_the_others_go_on(
    make_pipeline, mysql: Mysql, elastic: Elastic, database: str
) -> None:
    connection = mysql.connect(database=database)
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE good (id INT PRIMARY KEY)")
    cursor.execute("CREATE TABLE keyless (id INT)")
    cursor.execute("CREATE TABLE isam (id INT PRIMARY KEY) ENGINE=MyISAM")
    pipeline = make_pipeline("refused", cdc={"tables": [f"{database}.*"], "heartbeat_s": 1})
    pipeline.start("cdc", "sink")
    for table in ("keyless", "isam", "good"):
        cursor.execute(f"INSERT INTO {table} VALUES (1)")
    pipeline.await_equal(database, ("good",))
    log = pipeline.log("cdc")
    assert f"{database}.keyless" in log
    assert "has no primary key" in log
    assert f"{database}.isam" in log
    client = elastic.client()
    assert not documents(client, pipeline.alias(database, "keyless"))
    assert not documents(client, pipeline.alias(database, "isam"))


def test_a_document_that_elasticsearch_rejects(make_pipeline, mysql: Mysql, elastic: Elastic, database: str) -> None:
    connection = mysql.connect(database=database)
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE t (id INT PRIMARY KEY, v TEXT)")
    pipeline = make_pipeline("poison", cdc={"tables": [f"{database}.*"], "heartbeat_s": 1})
    pipeline.start("cdc", "sink")
    cursor.execute("INSERT INTO t VALUES (1, 'x')")
    pipeline.await_equal(database, ("t",))
    client, alias = elastic.client(), pipeline.alias(database, "t")
    # No value that MySQL can hold is refused by the mapping as it is made; somebody has to loosen it: a term is at
    # most 32,766 bytes.
    keyword = {"type": "keyword", "ignore_above": 100_000}
    client.indices.put_mapping(index=alias, properties={"v": {"type": "text", "fields": {"keyword": keyword}}})
    cursor.execute("INSERT INTO t VALUES (2, %s), (3, 'y')", ("long" * 10_000,))
    brokers, topic = pipeline.servers.kafka.bootstrap_servers, f"{pipeline.name}.__deadletter"
    letters = until(lambda: read_topics(brokers, [topic]), "the dead letter", 60)
    until(lambda: set(documents(client, alias)) == {"1", "3"}, "the good document beside the rejected one")
    assert [(letter.value["key_text"], letter.value["status"]) for letter in letters] == [("2", 400)]
    assert json.loads(letters[0].value["value"])["after"]["v"] == "long" * 10_000
    cursor.execute("UPDATE t SET v='short' WHERE id=2")
    pipeline.await_equal(database, ("t",))


def test_tidemark_without_any_configuration(tidemark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    done = tidemark("cdc", "run")
    assert done.code == 2
    assert "tidemark init" in done.err
    assert tidemark("init").code == 0
    assert tidemark("init").code == 2
    assert tidemark("config", "show", "--origin").code == 0
    assert tidemark("cdc", "fly").code == 2
    assert tidemark("--version").out.startswith("tidemark ")
