"""The audit on real servers: it names exactly what was injected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from auditing import World, found
from conftest import Elastic

from ops.settings import Settings
from schemas.report import AuditStatus

pytestmark = pytest.mark.stack

MakeWorld = Callable[..., World]


@pytest.fixture
def make_world(
    make_settings: Callable[..., Settings],
    elastic: Elastic,
    unique: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[MakeWorld]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made: list[World] = []
    client = elastic.client()

    def make(*, audit: dict[str, Any] | None = None, **options: Any) -> World:
        limits = {"max_requests_per_s": 1000, "wait_s": 5, "leaf_keys": 8, **(audit or {})}
        made.append(World(make_settings(f"au{unique[-6:]}", audit=limits), client, **options))
        return made[-1]

    yield make
    for world in made:
        world.close()
    client.close()


def test_what_is_right_is_clean(make_world: MakeWorld) -> None:
    world = make_world()
    world.put(*map(str, range(300)))
    world.put("7", "8", text="again")
    world.drop("9", "10")
    world.sync()
    report = world.audit()
    assert report.status is AuditStatus.CLEAN
    assert (report.tables[0].keys, found(report)) == (298, {})
    assert sum(window.deleted for window in report.tables[0].windows) == 2
    assert report.tables[0].cost.rounds == 1
