"""What a rebuild says of itself, and how far it thinks it is."""

from __future__ import annotations

import importlib
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from auditor.run_context import Context, StoppedError
from ops.settings import Settings
from ops.stop import Stop
from schemas.errors import LockedError
from schemas.table import Table
from schemas.watermark import Watermark
from tidemark.rebuild import rebuild
from tidemark.rebuild.ends import behind, done
from tidemark.rebuild.lock import locked
from tidemark.rebuild.plan import config_of
from tidemark.rebuild.progress import Display, Meter, described


@pytest.mark.parametrize(
    ("count", "total", "rate", "waits_for", "text"),
    [
        (0, 100, 0.0, "", "0 %, 0 of 100 records, 0/s"),
        (1234, 1950, 45_100.0, "", "63 %, 1,234 of 1,950 records, 45,100/s, 0 s left"),
        (10, 10_010, 10.0, "", "0 %, 10 of 10,010 records, 10/s, 16 min left"),
        (10, 100_010, 10.0, "", "0 %, 10 of 100,010 records, 10/s, 2 h 46 min left"),
        (0, 0, 0.0, "", "100 %, 0 of 0 records, 0/s"),
        (5, 10, 3.0, "lane 1: 429", "50 %, 5 of 10 records, waits for lane 1: 429"),
    ],
)
def test_how_far_it_is(count: int, total: int, rate: float, waits_for: str, text: str) -> None:
    assert described(count, total, rate, waits_for) == text


def test_the_rate_is_that_of_the_last_seconds() -> None:
    meter = Meter()
    assert meter.rate(0, 0.0) == 0
    assert meter.rate(1000, 1.0) == 1000
    assert meter.rate(1000, 20.0) == 0
    assert meter.rate(1500, 25.0) == 100


def test_what_is_behind() -> None:
    ends = {n: Watermark(partition=n, low=10, high=20) for n in range(4)}
    assert behind({0: 20, 1: 25, 2: 19}, ends) == {2: 19, 3: -1}
    assert done({0: 20, 1: 25, 2: 15}, ends) == (25, 40)


def test_one_at_a_time_on_this_machine() -> None:
    with locked("shop", "shop.orders"):
        with pytest.raises(LockedError, match=r"another rebuild of shop\.orders"), locked("shop", "shop.orders"):
            pass
        with locked("shop", "shop.other"), locked("other", "shop.orders"):
            pass
    with locked("shop", "shop.orders"):
        pass


@pytest.mark.parametrize(("words", "loads"), [("sink run --help", False), ("sink rebuild --help", True)])
def test_a_service_does_not_load_what_it_does_not_need(words: str, *, loads: bool) -> None:
    code = (
        "import sys; from tidemark.cli import assemble;"
        f" assemble({words.split()!r}); print('auditor.audit' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == str(loads)


def configured(transform: str) -> Settings:
    tables = {"shop.orders": {"transform": transform}}
    return Settings.model_validate({"source": {"name": "shop"}, "sink": {"tables": tables}})


TABLE = Table(db="shop", name="orders", version=1, columns=(), primary_key=("id",), topic="shop.shop.orders")


def test_another_transform_of_the_same_name_is_another_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "rebuilt_transforms.py"
    module.write_text("def order(event):\n    return event['after']\n")
    settings = configured("rebuilt_transforms:order")
    before = config_of(settings, TABLE)
    assert before == config_of(settings, TABLE)
    module.write_text("def order(event):\n    return {}\n")
    importlib.invalidate_caches()
    assert config_of(settings, TABLE) != before
    assert config_of(configured(""), TABLE) == config_of(configured(""), TABLE) != before


@pytest.mark.parametrize(("transform", "deep"), [("", False), ("transforms:upper", True)])
def test_documents_that_a_transform_made_are_read(
    transform: str, *, deep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Context] = []

    def audited(context: Context, _names: list[str]) -> None:
        seen.append(context)
        raise StoppedError("stopped")

    monkeypatch.setattr(rebuild, "audit", audited)
    one = object.__new__(rebuild.Rebuild)
    settings: Any = configured(transform)
    one._settings, one._table, one._stop, one._display = settings, TABLE, Stop(), Display(Console(file=StringIO()))
    with pytest.raises(KeyboardInterrupt):
        one._prove(settings, accept_dead_letters=False)
    assert [context.deep for context in seen] == [deep]
