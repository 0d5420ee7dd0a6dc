"""Pipelines of processes: what a test starts, it does not have to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Servers
from runner import Pipeline


@pytest.fixture
def make_pipeline(servers: Servers, tmp_path: Path) -> Iterator[Callable[..., Pipeline]]:
    made: list[Pipeline] = []

    def make(name: str, **sections: dict[str, Any]) -> Pipeline:
        made.append(Pipeline(tmp_path / f"{name}-{len(made)}", servers, name, **sections))
        return made[-1]

    yield make
    for pipeline in made:
        pipeline.close()
        for service in ("cdc", "sink"):
            log = pipeline.folder / f"{service}.log"
            if log.exists():  # pytest shows it when the test failed
                print(f"--- {service} ---\n{log.read_text(encoding='utf-8')[-6000:]}")
