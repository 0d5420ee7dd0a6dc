"""The front door: every command is there, and one room's command does not carry the other rooms' libraries."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.main import get_command

from tidemark.cli import assemble

COMMANDS = ["audit", "cdc", "config", "demo", "doctor", "init", "sink", "stack", "status"]


@pytest.mark.parametrize("words", [[], ["--help"], ["nonsense"]])
def test_without_a_known_word_every_command_is_there(words: list[str]) -> None:
    assert sorted(get_command(assemble(words)).commands) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_a_named_command_is_the_one(name: str) -> None:
    alone = get_command(assemble([name, "--help"])).commands
    assert list(alone) == [name]
    assert alone[name].help == get_command(assemble([])).commands[name].help


@pytest.mark.parametrize(
    ("name", "foreign"),
    [("cdc", {"sink", "auditor", "elasticsearch", "duckdb"}), ("sink", {"cdc", "auditor", "duckdb", "pymysql"})],
)
def test_a_service_imports_its_own_room_only(name: str, foreign: set[str]) -> None:
    script = f"import sys\nfrom tidemark.cli import assemble\nassemble([{name!r}, 'run'])\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert foreign.isdisjoint(done.stdout.split())
