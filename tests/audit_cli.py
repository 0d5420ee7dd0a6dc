"""`tidemark audit …` in the test's own process, over a world."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from auditing import World
from auditor.commands import app
from schemas.errors import TidemarkError


class Cli:
    """`tidemark audit …` in this process."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.config = folder / "tidemark.toml"
        tree = world.settings.model_dump(mode="json", exclude_defaults=True)
        lines = []
        for section, values in tree.items():
            lines += [f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
        self.config.write_text("\n".join(lines), encoding="utf-8")

    def __call__(self, *arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, [*arguments, "-c", str(self.config)])
        if isinstance(result.exception, TidemarkError):
            raise result.exception
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout
