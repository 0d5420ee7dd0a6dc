"""Real servers for every test that asks: from `TIDEMARK_TEST_*` addresses, else from `stack`.

On a laptop without them such tests are skipped, in CI they fail.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from cdc.source.native import MISSING
from ops.settings import Settings
from runner import Pipeline
from schemas.errors import TidemarkError
from servers import ADDRESSES, Elastic, Kafka, Mysql, Servers, of_stack, servers_from, settings_tree
from stack import Stack, StackStatus

_TIERS = ("unit", "acceptance", "pipeline", "stack", "integration")
_VERSIONS: set[str] = set()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast ones first, then the longest, so that no worker has one of those alone at the end; otherwise random."""
    folder = Path(__file__).parent
    items.sort(key=lambda item: _TIERS.index(item.path.relative_to(folder).parts[0]))


class SideBySide:
    """Each of xdist's workers has servers of its own; what they were is shown by the process that prints."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        _VERSIONS.update(getattr(node, "workeroutput", {}).get("servers", ()))


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(SideBySide())
    # How long an example takes says how busy the machine is.
    slow = [hypothesis.HealthCheck.too_slow]
    hypothesis.settings.register_profile("shared", deadline=None, suppress_health_check=slow)
    if "CI" not in os.environ:  # there hypothesis takes a profile of its own, which also repeats itself
        hypothesis.settings.load_profile("shared")
    if (
        signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    ):  # a shell's background job; commands under test would ignore it too
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["servers"] = sorted(_VERSIONS)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for versions in sorted(_VERSIONS):
        terminalreporter.write_line(f"servers: {versions}")


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Locks and kept reports of the tests' own, not the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    if all(os.environ.get(name) for name in ADDRESSES):
        yield servers_from(dict(os.environ), "given by TIDEMARK_TEST_*")
        return
    # Nobody kills this broker, so that it may stand still for as long as Kafka's default without losing its place.
    stack = Stack(tmp_path_factory.mktemp("stack"), kafka_properties={"broker.session.timeout.ms": "9000"})
    try:
        found = of_stack(_up(stack))
        _VERSIONS.add(found.versions)
        yield found
    finally:
        stack.down()


def _up(stack: Stack) -> StackStatus:
    try:
        return stack.up()
    except TidemarkError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no real servers here: {error}. {error.hint}")


@pytest.fixture(scope="session")
def mysql(servers: Servers) -> Mysql:
    return servers.mysql


@pytest.fixture(scope="session")
def kafka(servers: Servers) -> Kafka:
    return servers.kafka


@pytest.fixture(scope="session")
def elastic(servers: Servers) -> Elastic:
    return servers.elastic


@pytest.fixture
def native() -> str:
    """The native engine; where it is not installed the test is skipped, in CI it fails."""
    if MISSING:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"the native engine is not installed: {MISSING}")
    return "native"


@pytest.fixture(params=["native", "portable"])
def engine(request: pytest.FixtureRequest) -> str:
    """One after the other, both engines: for tests of what an engine does (`engines` has marks for others)."""
    return str(request.getfixturevalue("native") if request.param == "native" else request.param)


@pytest.fixture
def make_settings(servers: Servers, tmp_path: Path) -> Callable[..., Settings]:
    """Settings for the test servers; `make_settings("name", cdc={...}, sink={...})` lays sections over them."""

    def make(name: str, **sections: dict[str, Any]) -> Settings:
        return Settings.model_validate(settings_tree(servers, name, **sections))

    return make


@pytest.fixture
def unique(request: pytest.FixtureRequest) -> str:
    """A name of the test's own: for a source, a database, an index."""
    plain = re.sub(r"[^a-z0-9]+", "_", request.node.name.lower())[:40].strip("_")
    return f"{plain}_{os.urandom(3).hex()}"


@pytest.fixture
def database(mysql: Mysql, unique: str) -> Iterator[str]:
    """An empty database of the test's own."""
    name = unique[-40:].strip("_")
    connection = mysql.connect()
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
        try:
            yield name
        finally:
            cursor.execute(f"DROP DATABASE IF EXISTS `{name}`")
            connection.close()


@pytest.fixture
def make_pipeline(servers: Servers, tmp_path: Path) -> Iterator[Callable[..., Pipeline]]:
    """Pipelines of processes: what a test starts, it does not have to stop."""
    made: list[Pipeline] = []
    tag = os.urandom(3).hex()

    def make(name: str, **sections: dict[str, Any]) -> Pipeline:
        source = f"{name}_{tag}"  # the same name again in one test is the same source again
        made.append(Pipeline(tmp_path / f"{name}-{len(made)}", servers, source, **sections))
        return made[-1]

    yield make
    for pipeline in made:
        pipeline.close()
        for service in ("cdc", "sink"):
            log = pipeline.folder / f"{service}.log"
            if log.exists():  # pytest shows it when the test failed
                print(f"--- {service} ---\n{log.read_text(encoding='utf-8')[-6000:]}")
