"""Named points where a test makes the process die: `TIDEMARK_CRASH=after_publish:kill9@37`, the 37th time."""

from __future__ import annotations

import os
import signal
from collections import Counter

_hits: Counter[str] = Counter()


def reached(name: str) -> None:
    """Die here if the environment says so."""
    plan = os.environ.get("TIDEMARK_CRASH")
    if not plan:
        return
    point, _, rest = plan.partition(":")
    action, _, count = rest.partition("@")
    if point != name:
        return
    _hits[name] += 1
    if _hits[name] == int(count or 1):
        os.kill(os.getpid(), signal.SIGSTOP if action == "stop" else signal.SIGKILL)
