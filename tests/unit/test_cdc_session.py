"""What a process finds of its own claim before a session takes the source over again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cdc.position_store import PositionStore, Stored
from cdc.session import Opener
from ops.settings import Settings
from ops.stop import Stop
from schemas.errors import ExitCode, FencedError, PositionLostError


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
