"""Every error code has a page, every page a code."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest

from schemas.errors import ExitCode, TidemarkError

PACKAGES = ("schemas", "ops", "cdc", "sink", "auditor", "stack", "tidemark")
PAGES = Path(__file__).parents[2] / "docs/errors"


def classes() -> set[type[TidemarkError]]:
    for package in PACKAGES:
        for module in pkgutil.walk_packages([str(Path(__file__).parents[2] / package)], f"{package}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    found, todo = set(), [TidemarkError]
    while todo:
        kind = todo.pop()
        found.add(kind)
        todo += kind.__subclasses__()
    return found


def test_codes_and_pages() -> None:
    codes = {kind.code for kind in classes()}
    assert codes == {page.stem for page in PAGES.glob("*.md")}
    for page in PAGES.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        assert f"Code: `{page.stem}`" in text
        assert "## How to mend it" in text


@pytest.mark.parametrize("kind", sorted(classes(), key=lambda kind: kind.__qualname__), ids=lambda kind: kind.__name__)
def test_only_what_may_pass_is_tried_again(kind: type[TidemarkError]) -> None:
    if kind.retryable:
        assert kind.exit_code is ExitCode.UNREACHABLE
