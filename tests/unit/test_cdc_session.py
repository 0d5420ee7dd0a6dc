"""What a process finds of its own claim before a session takes the source over again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from cdc.position_store import PositionStore, Stored
from cdc.session import Opener
from cdc.topics import Topics
from ops.settings import Settings
from ops.stop import Stop
from schemas.errors import ExitCode, FencedError, PositionLostError, UnreachableError


@pytest.mark.parametrize(
    ("claimant", "error", "code"),
    [("heir", FencedError, ExitCode.FENCED), ("", PositionLostError, ExitCode.POSITION_LOST)],
)
def test_no_claim_at_all_is_a_lost_topic_and_no_other_instance(
    monkeypatch: pytest.MonkeyPatch, claimant: str, error: type[Exception], code: ExitCode
) -> None:
    def read(_store: PositionStore, _wanted: Callable[[], bool]) -> Stored:
        return Stored(claimant=claimant, claimed_by=claimant)

    monkeypatch.setattr(PositionStore, "read", read)
    settings = Settings.model_validate({"source": {"name": "shop"}, "kafka": {"bootstrap_servers": "127.0.0.1:1"}})
    found = Opener(settings, Stop()).rival()
    assert isinstance(found, error)
    assert found.exit_code == code


def test_the_topics_are_held_against_the_position_only_where_others_may_have_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A look at thousands of partitions takes longer than a session begun anew may."""
    found: list[Stored | Exception] = []
    looked: list[str] = []

    def run() -> Stored:
        if isinstance(given := found.pop(0), Exception):
            raise given
        return given

    def assemble(opener: Opener, *_: object) -> None:
        own: Any = SimpleNamespace(check_newest=looked.append)
        position: Any = "looked"
        opener._check_newest(own, position)

    monkeypatch.setattr("cdc.session.Publisher", lambda *_, **__: nullcontext())
    monkeypatch.setattr("cdc.session.Takeover", lambda **_: SimpleNamespace(run=run))
    monkeypatch.setattr(Topics, "ensure_control", lambda _topics: None)
    monkeypatch.setattr(Opener, "_assemble", assemble)
    monkeypatch.setattr(Opener, "rival", lambda _opener: None)
    settings = Settings.model_validate({"source": {"name": "shop"}, "kafka": {"bootstrap_servers": "127.0.0.1:1"}})
    opener = Opener(settings, Stop())

    def looks(given: Stored | Exception) -> bool:
        found.append(given)
        looked.clear()
        try:
            with opener.session():
                pass
        except UnreachableError:
            pass
        return bool(looked)

    clean, unclean, away = Stored(), Stored(unclean=True), UnreachableError("away")
    expected = [(clean, True), (clean, False), (unclean, True), (clean, False), (away, False), (clean, True)]
    assert [looks(given) for given, _ in expected] == [wanted for _, wanted in expected]
