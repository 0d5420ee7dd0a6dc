"""kill -9 of every part under load; afterwards index and table are equal, and each change stands once in the topic."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator

import pytest
from psutil import STATUS_STOPPED, Process

import topic
from engines import on_native, on_portable
from runner import Pipeline, until
from servers import Mysql, of_stack
from stack import Stack
from workload import TABLES, Workload

pytestmark = pytest.mark.stack


class Loaded:
    """A pipeline under load, and the checks after it."""

    def __init__(self, pipeline: Pipeline, db: str, seed: int) -> None:
        self.pipeline, self.db = pipeline, db
        mysql = pipeline.servers.mysql
        with mysql.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SHOW BINARY LOG STATUS")
            self._first_file = cursor.fetchone()[0]
            Workload.create(connection, db)
        pipeline.start("cdc", "sink")
        self.load = Workload(lambda: mysql.connect(read_timeout=10), db, seed, pause_s=0.004)

    def verify(self) -> None:
        self.load.finish()
        self.pipeline.await_equal(self.db, TABLES)
        mysql = self.pipeline.servers.mysql
        with mysql.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SHOW BINARY LOGS")
            files = [row[0] for row in cursor.fetchall() if row[0] >= self._first_file]
        topics = [f"{self.pipeline.name}.{self.db}.{table}" for table in TABLES]
        records = topic.read_topics(self.pipeline.servers.kafka.bootstrap_servers, topics)
        wanted = topic.in_binlog(mysql, files, self.db)
        assert topic.published(records) == wanted
        assert len(wanted) > 100
        for name in ("cdc", "sink"):
            assert self.pipeline.stop(name) == 0


@pytest.fixture
def loaded(make_pipeline: Callable[..., Pipeline], database: str) -> Iterator[Callable[..., Loaded]]:
    made: list[Loaded] = []

    def make(name: str, seed: int, **sections: dict[str, object]) -> Loaded:
        cdc = {"tables": [f"{database}.*"], "heartbeat_s": 1, "max_batch_events": 200, **sections.pop("cdc", {})}
        made.append(Loaded(make_pipeline(name, cdc=cdc, **sections), database, seed))
        return made[-1]

    yield make
    for one in made:
        one.load._stop.set()


def storm(one: Loaded, seed: int, kills: int) -> None:
    """kill -9 of cdc or sink at random moments, started again at random moments, under load throughout."""
    rng = random.Random(seed)
    with one.load:
        for _ in range(kills):
            one.load.await_commits(rng.randrange(5, 60))
            victim = rng.choice(("cdc", "sink"))
            one.pipeline.kill(victim)
            one.load.await_commits(rng.randrange(1, 30))
            one.pipeline.start(victim, ready=rng.random() < 0.5)
    one.pipeline.check()
    one.verify()


@on_native
def test_services_killed_at_random_moments(loaded: Callable[..., Loaded]) -> None:
    storm(loaded("kill_services", 7), 7, kills=8)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(100, 120))
def test_storm_of_kills(loaded: Callable[..., Loaded], seed: int) -> None:
    storm(loaded("storm", seed), seed, kills=25)


@on_portable
def test_everything_of_ours_killed_at_once_and_started_in_another_order(loaded: Callable[..., Loaded]) -> None:
    one = loaded("kill_all", 11)
    with one.load:
        for order in (("sink", "cdc"), ("cdc", "sink")):
            one.load.await_commits(40)
            for name in order:
                one.pipeline.kill(name)
            one.load.await_commits(20)
            for name in order:
                one.pipeline.start(name, ready=False)
    one.verify()


# Each room's own tests hold its crash points; here they are met with the other room at work.
@pytest.mark.soak
@pytest.mark.parametrize(
    ("service", "point"),
    [
        ("cdc", "after_read:kill9@5"),
        ("cdc", "before_publish:kill9@7"),
        ("cdc", "mid_transaction:kill9@4"),
        ("cdc", "before_commit:kill9@6"),
        ("cdc", "after_publish:kill9@6"),
        ("sink", "after_bulk:kill9@5"),
        ("sink", "before_commit:kill9@3"),
        ("sink", "after_commit:kill9@3"),
    ],
)
def test_crash_points(loaded: Callable[..., Loaded], service: str, point: str) -> None:
    one = loaded(f"crash_{service}", 13)
    with one.load:
        one.load.await_commits(20)
        assert one.pipeline.stop(service) == 0
        one.pipeline.start(service, env={"TIDEMARK_CRASH": point}, ready=False)
        assert one.pipeline.wait(service) == -9
        one.load.await_commits(20)
        one.pipeline.start(service)
        one.load.await_commits(10)
    one.verify()


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Servers that may be killed."""
    stack = Stack(tmp_path_factory.mktemp("killable"))
    try:
        stack.up()
        yield stack
    finally:
        stack.down()


# Who reads the binlog says nothing about the others.
@pytest.mark.parametrize(
    ("engine", "server"),
    [
        ("native", "mysql"),
        ("portable", "mysql"),
        ("native", "kafka"),
        pytest.param("portable", "kafka", marks=pytest.mark.soak),
        ("portable", "elasticsearch"),
        pytest.param("native", "elasticsearch", marks=pytest.mark.soak),
    ],
    indirect=["engine"],
)
def test_servers_killed_and_restarted_under_load(
    own_stack: Stack, server: str, make_killable: Callable[..., Loaded]
) -> None:
    one = make_killable(f"server_{server}", 17)
    with one.load:
        one.load.await_commits(40)
        own_stack.kill_server(server)
        own_stack.start_server(server)
        one.load.await_commits(60, timeout_s=240)
    one.verify()


@pytest.fixture
def make_killable(own_stack: Stack, tmp_path, unique: str) -> Iterator[Callable[..., Loaded]]:
    servers = of_stack(own_stack.status())
    made: list[Loaded] = []

    def make(name: str, seed: int) -> Loaded:
        db = unique[-30:].strip("_")
        cdc = {"tables": [f"{db}.*"], "heartbeat_s": 1, "max_batch_events": 200}
        made.append(Loaded(Pipeline(tmp_path / name, servers, f"{name}_{os.urandom(3).hex()}", cdc=cdc), db, seed))
        return made[-1]

    yield make
    for one in made:
        one.load._stop.set()
        one.pipeline.close()
        for service in ("cdc", "sink"):
            print(f"--- {service} ---\n{one.pipeline.log(service)[-6000:]}")


def test_a_second_cdc_of_the_same_name_fences_the_first(
    make_pipeline: Callable[..., Pipeline], database: str, mysql: Mysql
) -> None:
    sections = {"cdc": {"tables": [f"{database}.*"], "heartbeat_s": 1}}
    first, second = make_pipeline("twins", **sections), make_pipeline("twins", **sections)
    with mysql.connect(database=database) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE items (id BIGINT PRIMARY KEY)")
        first.start("cdc", "sink")
        for older, newer in ((first, second), (second, first)):
            cursor.execute("INSERT INTO items SELECT COALESCE(MAX(id), 0) + 1 FROM items")
            newer.start("cdc")
            assert older.wait("cdc") == 7
            assert "fenced" in older.log("cdc")
        cursor.execute("INSERT INTO items SELECT COALESCE(MAX(id), 0) + 1 FROM items")
        first.await_equal(database, ("items",))


# Without the sink it is in tests/integration/test_cdc_fencing.py.
@pytest.mark.soak
def test_a_cdc_frozen_in_a_transaction_wakes_up_behind_its_heir(
    loaded: Callable[..., Loaded], make_pipeline: Callable[..., Pipeline], database: str
) -> None:
    one = loaded("zombie", 19)
    heir = make_pipeline("zombie", cdc={"tables": [f"{database}.*"], "heartbeat_s": 1, "max_batch_events": 200})
    assert heir.name == one.pipeline.name
    with one.load:
        one.load.await_commits(20)
        assert one.pipeline.stop("cdc") == 0
        one.pipeline.start("cdc", env={"TIDEMARK_CRASH": "before_commit:stop@9"}, ready=False)
        zombie = one.pipeline.running("cdc").process
        until(lambda: Process(zombie.pid).status() == STATUS_STOPPED, "the frozen one")
        heir.start("cdc")
        one.load.await_commits(40)
        zombie.send_signal(signal.SIGCONT)
        assert one.pipeline.wait("cdc") == 7
        one.load.await_commits(20)
    one.pipeline.take("cdc", heir)
    one.verify()
