"""What the tests of the source share."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Any

import pytest

from cdc.source.native import MISSING
from source_reader import SourceReader

_SERVER_IDS = itertools.count(100_000 + os.getpid() % 30_000 * 1000)


@pytest.fixture
def native() -> str:
    """The native engine; where it is not installed the test is skipped, in CI it fails."""
    if MISSING:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"the native engine is not installed: {MISSING}")
    return "native"


@pytest.fixture(params=["native", "portable"])
def engine(request: pytest.FixtureRequest) -> str:
    """Every test of the source is one of both engines."""
    return str(request.getfixturevalue("native") if request.param == "native" else request.param)


@pytest.fixture
def reader(mysql: Any, database: str, engine: str) -> Iterator[SourceReader]:
    """Reads what is done to the test's own database from here on."""
    found = SourceReader(mysql, database, next(_SERVER_IDS), engine)
    yield found
    found.connection.close()
