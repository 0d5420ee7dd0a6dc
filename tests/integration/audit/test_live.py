"""Audits while a writer writes and a sink follows: no false alarm, and what was harmed is named."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from auditing import World, found
from schemas.report import AuditStatus

pytestmark = pytest.mark.stack

MakeWorld = Callable[..., World]


@contextmanager
def living(world: World, keys: list[str], seed: int) -> Iterator[None]:
    """Updates, deletes and re-inserts; the sink is a step behind, offsets later than documents."""
    stop = threading.Event()
    errors: list[BaseException] = []

    def write() -> None:
        rng = random.Random(seed)
        try:
            while not stop.is_set():
                some = rng.sample(keys, 20)
                world.put(*some[:12], text=str(rng.random()))
                world.drop(*some[12:])
                if rng.random() < 0.05:
                    world.barrier(below=world.rows[0].seq)
                rows = world.rows[world.synced :]
                world._bulk(rows[: rng.randrange(len(rows) + 1)])  # applied, not committed
                if rng.random() < 0.7:
                    world.sync()
        except BaseException as error:  # noqa: BLE001  raised again where the test sees it
            errors.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("seed", [1, 2])
def test_no_false_alarm_and_nothing_missed(make_world: MakeWorld, seed: int) -> None:
    world = make_world(audit={"wait_s": 20})
    moving = [f"m{number}" for number in range(200)]
    still = [f"s{number:04}" for number in range(800)]
    world.put(*moving, *still)
    world.sync()
    with living(world, moving, seed):
        for _ in range(4):
            report = world.audit()
            assert (report.reason, report.status, found(report)) == ("", AuditStatus.CLEAN, {})
        world.remove("s0007", "s0500")
        world.overwrite("s0100", {"text": "by hand"})
        for _ in range(3):
            assert found(world.audit()) == {"missing": ["s0007", "s0500"], "stale": ["s0100"]}
    world.sync()
    assert found(world.audit()) == {"missing": ["s0007", "s0500"], "stale": ["s0100"]}
