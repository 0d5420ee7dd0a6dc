"""Which engine a test runs on where it is no matter for the test: the other one has its turn in `make soak`."""

from __future__ import annotations

import pytest

_soak = pytest.mark.soak
on_native = pytest.mark.parametrize("engine", ["native", pytest.param("portable", marks=_soak)], indirect=True)
on_portable = pytest.mark.parametrize("engine", [pytest.param("native", marks=_soak), "portable"], indirect=True)
