"""What the tests of the source share."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Any

import pytest

from source_reader import SourceReader

_SERVER_IDS = itertools.count(100_000 + os.getpid() % 30_000 * 1000)


@pytest.fixture
def reader(mysql: Any, database: str, engine: str) -> Iterator[SourceReader]:
    """Reads what is done to the test's own database from here on."""
    found = SourceReader(mysql, database, next(_SERVER_IDS), engine)
    yield found
    found.connection.close()
