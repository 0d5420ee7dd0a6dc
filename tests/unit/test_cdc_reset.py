"""What a reset does beside a running cdc, and what it says of it when it fails."""

from __future__ import annotations

from typing import Any, cast

import pytest
import structlog.testing

from cdc.publisher import Publisher
from cdc.reset import _outlasting_a_running_cdc, _telling_of_a_running_cdc
from schemas.errors import GivenUpError, RefusedError, SlowCommitError, TidemarkError
from schemas.position import Position


@pytest.mark.parametrize("error", [GivenUpError("fenced"), SlowCommitError("fenced, after a slow beginning")])
def test_an_attempt_that_a_running_cdc_fences_is_done_again(error: TidemarkError) -> None:
    position = Position(gtid_set="", file="f", pos=4, server_uuid="", seq=0)
    outcomes: list[Any] = [error, position]

    def once() -> Position:
        if isinstance(outcome := outcomes.pop(0), TidemarkError):
            raise outcome
        return cast("Position", outcome)

    assert _outlasting_a_running_cdc(once) is position


@pytest.mark.parametrize("fences", [False, True])
def test_only_an_attempt_that_fenced_can_have_stopped_a_running_cdc(fences: bool) -> None:
    class Attempt:
        def __init__(self, fences: bool) -> None:
            self.fences = fences

    attempts = cast("list[Publisher]", [Attempt(fences), Attempt(False)])
    with (
        structlog.testing.capture_logs() as logs,
        pytest.raises(RefusedError),
        _telling_of_a_running_cdc(attempts),
    ):
        raise RefusedError("no right")
    assert [log["action"] for log in logs] == ["reset_failed"] * fences
