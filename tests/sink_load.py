"""Changes of a few keys, one small transaction after the other, while something happens to those who index them."""

from __future__ import annotations

import random
import threading
from typing import Self

from sink_world import World


class Load:
    """Runs until it is finished; then `world.rows` is what the index ought to hold."""

    def __init__(self, world: World, seed: int, *, pause_s: float = 0.02) -> None:
        self._world = world
        self._dice = random.Random(seed)
        self._pause_s = pause_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"load-{seed}")
        self._error: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def finish(self) -> None:
        """Raises what made it end, if that was not we."""
        self._over.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._over.wait(self._pause_s):
                self._world.churn(self._dice, 20)
        except Exception as error:  # noqa: BLE001  handed to the test by `finish`
            self._error = error
