"""The commands: exit codes, one object on stdout, reports kept, the lock, the service."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from audit_cli import Cli
from auditing import World
from auditor.commands import app
from auditor.lock import locked
from documented import audit_metrics
from schemas.errors import LockedError, RepairCapError, UsageError
from schemas.report import AuditReport, RepairReport
from stack.ports import free_port

pytestmark = pytest.mark.stack

MakeWorld = Callable[..., World]


def stricter(world: World) -> World:
    """The same, with settings that let next to nothing be repaired."""
    audit = world.settings.audit.model_copy(update={"max_repairs": 4})
    world.settings = world.settings.model_copy(update={"audit": audit})
    return world


@pytest.fixture
def cli(make_world: MakeWorld, tmp_path: Path) -> Cli:
    world = make_world(audit={"max_repair_share": 1.0})
    world.put(*map(str, range(40)))
    world.sync()
    return Cli(world, tmp_path)


def test_the_way_from_harm_to_clean(cli: Cli, tmp_path: Path) -> None:
    code, out = cli("run", "--json")
    assert (code, AuditReport.model_validate_json(out).status.value, out.count("\n")) == (0, "clean", 1)
    cli.world.remove("3", "4")
    copy = tmp_path / "copy.json"
    code, out = cli("run", "--json", "--output", str(copy))
    assert code == 4
    assert json.loads(out)["tables"][0]["findings"][0]["document"] == "shop.things/3"
    assert json.loads(out) == json.loads(copy.read_text())
    assert cli("report", "--json") == (4, out)
    assert cli("report", str(copy), "--json") == (4, out)
    code, text = cli("report", "--last")
    assert code == 4
    assert "2 missing" in text
    assert "tidemark audit repair" in text
    code, out = cli("repair", "--json")
    assert (code, RepairReport.model_validate_json(out).applied) == (4, False)
    code, out = cli("repair", "--apply", "--json", "--report", str(copy))
    assert (code, json.loads(out)["repaired"]) == (0, 2)
    assert cli("run")[0] == 0


def test_run_and_repair_in_one(cli: Cli) -> None:
    cli.world.remove("3")
    code, out = cli("run", "--repair", "--json")
    assert (code, json.loads(out)["repair"]["applied"]) == (4, False)
    code, out = cli("run", "--repair", "--apply", "--json")
    assert (code, json.loads(out)["repair"]["repaired"]) == (0, 1)
    assert cli("run", "--repair", "--apply")[0] == 0


def test_what_was_never_proven_is_8_after_a_repair_too(cli: Cli, make_world: MakeWorld) -> None:
    cli.world.remove("3")
    behind = make_world(table="behind", audit={"max_repair_share": 1.0})
    behind.put("1")
    behind.sync()
    behind.put("2")
    code, out = cli("run", "--repair", "--apply", "--json")
    assert (code, json.loads(out)["repair"]["repaired"], json.loads(out)["status"]) == (8, 1, "findings")
    assert cli("report")[0] == 8
    assert cli("repair", "--apply")[0] == 8
    behind.sync()
    assert cli("run")[0] == 0


def test_a_repair_that_refuses_leaves_the_report(cli: Cli, tmp_path: Path) -> None:
    cli.world.remove(*map(str, range(30)))
    strict = Cli(stricter(cli.world), tmp_path)
    copy = tmp_path / "copy.json"
    arguments = ["run", "--repair", "--apply", "--json", "--output", str(copy), "-c", str(strict.config)]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, RepairCapError)
    report = AuditReport.model_validate_json(result.stdout)
    assert (report.status.value, report.repair, len(report.findings())) == ("findings", None, 30)
    assert strict("report", "--json") == (4, result.stdout)
    assert copy.read_text() == result.stdout.strip()


def test_one_at_a_time(cli: Cli) -> None:
    with locked(cli.world.name), pytest.raises(LockedError):
        cli("run")
    with locked(cli.world.name), pytest.raises(LockedError):
        cli("repair")


def test_wrong_arguments(cli: Cli, tmp_path: Path) -> None:
    for wrong in (
        ["run", "shop.thinks"],
        ["run", "--apply"],
        ["run", "--every", "soon"],
        ["report"],
        ["report", str(cli.config)],
        ["report", str(tmp_path / "none.json")],
        ["run", "--output", str(tmp_path / "no" / "folder.json")],
    ):
        with pytest.raises(UsageError):
            cli(*wrong)


def test_nothing_checked_is_8(make_world: MakeWorld, tmp_path: Path) -> None:
    code, out = Cli(make_world(), tmp_path)("run")
    assert code == 8
    assert "INCONCLUSIVE" in out


def test_as_a_service(cli: Cli, tmp_path: Path) -> None:
    port = free_port()
    environ: dict[str, Any] = {
        **os.environ,
        "TIDEMARK_SERVICE__AUDIT_LISTEN": f"127.0.0.1:{port}",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, "-c", "from auditor.commands import app; app()", "run", "--every", "1s", "--json"]
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        process = subprocess.Popen([*command, "-c", str(cli.config)], env=environ, stdout=out, stderr=err)
    try:
        deadline = time.monotonic() + 60
        while (tmp_path / "out").read_text().count("\n") < 2:
            assert process.poll() is None, (tmp_path / "err").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=60) as answer:
            assert answer.status == 200
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            metrics = answer.read().decode()
        assert 'tidemark_audit_keys_checked_total{table="shop.things"}' in metrics
        named = set(re.findall(r"^(tidemark_audit_\w+)\{", metrics, re.MULTILINE))
        assert audit_metrics() <= named
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait(10)
    for line in (tmp_path / "out").read_text().splitlines():
        assert AuditReport.model_validate_json(line).status.value == "clean"
