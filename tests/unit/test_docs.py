"""The reference names every key, and nothing else that looks like one."""

from __future__ import annotations

import re
from pathlib import Path

from ops.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"


def test_every_setting_is_documented() -> None:
    text = (DOCS / "reference/config.md").read_text(encoding="utf-8")
    for name, section in Settings.model_fields.items():
        part = text.split(f"## `[{name}]`", 1)[1].split("\n## ", 1)[0]
        written = set(re.findall(r"`([a-z_]+)`", "\n".join(re.findall(r"^\| ([^|]+)\|", part, re.MULTILINE))))
        known = set(section.annotation.model_fields) - {"table", "tables"} if name in ("cdc", "sink") else None
        known = set(section.annotation.model_fields) if known is None else known
        assert known <= written | {"table", "tables"}, name
        assert written <= set(section.annotation.model_fields), name


def test_every_test_that_is_named_exists() -> None:
    tests = DOCS.parent / "tests"
    text = (DOCS / "reference/faults.md").read_text(encoding="utf-8")
    named = re.findall(r"`(test_\w+\.py)(?:::(\w+))?`", text)
    assert len(named) > 80
    for file, function in named:
        found = [path.read_text(encoding="utf-8") for path in tests.rglob(file)]
        assert any(not function or f"def {function}(" in text for text in found), f"{file}::{function}"


def test_links_lead_somewhere() -> None:
    root = DOCS.parent
    for page in [*DOCS.rglob("*.md"), *root.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"
