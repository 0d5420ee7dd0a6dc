"""What a Kafka client reports by itself, in the log."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from confluent_kafka import KafkaError

from ops.log import logger

_log = logger(__name__)


@dataclass(slots=True, kw_only=True)
class Complaints:
    """Callback for errors: each code is logged once in `every_s`, with how many more there were since the last time.

    While no broker answers, a client that waits for metadata begins anew with every attempt (KIP-899) and never gets
    to the longer pauses of `reconnect.backoff.max.ms`: it reports eighty lost connections in a second.
    """

    every_s: float = 10.0
    clock: Callable[[], float] = time.monotonic
    _logged_at: dict[int, float] = field(default_factory=dict)
    _untold: Counter[int] = field(default_factory=Counter)

    def __call__(self, error: KafkaError) -> None:
        code, now = error.code(), self.clock()
        if code in self._logged_at and now - self._logged_at[code] < self.every_s:
            self._untold[code] += 1
            return
        self._logged_at[code] = now
        more = {"more": self._untold.pop(code)} if code in self._untold else {}
        _log.warning("kafka client reports a problem", action="kafka_error", reason=error.str(), **more)
