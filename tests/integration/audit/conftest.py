"""Worlds for audits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from auditing import World
from ops.settings import Settings
from servers import Elastic

MakeWorld = Callable[..., World]


@pytest.fixture
def make_world(
    make_settings: Callable[..., Settings],
    elastic: Elastic,
    unique: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[MakeWorld]:
    """Worlds of one pipeline, a table each; gone afterwards. Reports are kept in the test's folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made: list[World] = []
    client = elastic.client()

    def make(
        *, audit: dict[str, Any] | None = None, sink: dict[str, Any] | None = None, patience_s: float = 30,
        **options: Any,
    ) -> World:  # fmt: skip
        limits = {"max_requests_per_s": 1000, "wait_s": 5, "leaf_keys": 8, **(audit or {})}
        settings = make_settings(
            f"au{unique[-6:]}",
            audit=limits,
            sink=sink or {},
            service={"start_timeout_s": patience_s},
            elasticsearch={"request_timeout_s": patience_s},
        )
        made.append(World(settings, client, **options))
        return made[-1]

    yield make
    for world in made:
        world.close()
    client.close()


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """The commands send the log to a stderr that ends with them."""
    yield
    structlog.reset_defaults()
