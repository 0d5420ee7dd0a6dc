"""Sends requests: at a bounded rate, again after a retryable failure, counted, with errors of our own."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from elastic_transport import TransportError
from elasticsearch import ApiError

from auditor.bounded import TOO_LARGE
from auditor.page import TooLargeError
from auditor.run_context import Context
from ops.elastic import translate
from ops.retry import until_stopped
from schemas.errors import UnreachableError

_TOO_MANY = 429
_BUSY_GAP_S = 0.1
_LONGEST_GAP_S = 5.0
_RECOVERY = 0.9


class Requests:
    """The one way to Elasticsearch. `count` and `response_bytes` are what it cost so far.

    In no second are there more than allowed; a few may follow each other at once. Every 429 doubles the time between
    requests; answers shorten it again.
    """

    def __init__(self, context: Context) -> None:
        self.count = 0
        self.response_bytes = 0
        self._context = context
        self._where = ", ".join(context.settings.elasticsearch.urls)
        per_s = context.settings.audit.max_requests_per_s
        self._least_gap_s = self._gap_s = 1 / per_s
        self._at_once = max(1, int(per_s))
        self._sent = deque([-math.inf], maxlen=self._at_once)  # when the last of them were
        self._refused = False

    def send(self, what: str, call: Callable[[], Any]) -> Any:
        """The answer's body. Raises one of our errors, after `start_timeout_s` of trying if it is retryable."""
        patience_s = self._context.settings.service.start_timeout_s
        retry = until_stopped(self._context.stop, what, enough=lambda elapsed_s: elapsed_s > patience_s)
        return retry(self._once, call)

    def _once(self, call: Callable[[], Any]) -> Any:
        self._context.pulse()
        self._wait()
        try:
            answer = call()
        except (ApiError, TransportError) as error:
            if isinstance(error, ApiError) and error.meta.status == _TOO_MANY:
                self._refused = True
                self._gap_s = min(max(self._gap_s * 2, _BUSY_GAP_S), max(_LONGEST_GAP_S, self._least_gap_s))
            if isinstance(error, ApiError) and error.error == TOO_LARGE:
                raise TooLargeError(
                    "an answer of Elasticsearch is too large", where=self._where,
                    hint="A single document is larger than two events of [kafka] max_event_bytes.",
                ) from error  # fmt: skip
            raise translate(error, self._where) from error
        finally:
            self.count += 1
        if answer.body in (None, "", b""):  # cut off amidst the headers, it counts as one without a body
            raise UnreachableError("an answer of Elasticsearch was cut off", where=self._where)
        self._gap_s = max(self._least_gap_s, self._gap_s * _RECOVERY)
        self.response_bytes += int(answer.meta.headers.get("content-length") or 0)
        return answer.body

    def refused(self) -> bool:
        """True if Elasticsearch has been too busy for a request since this was asked last."""
        refused, self._refused = self._refused, False
        return refused

    def _wait(self) -> None:
        due = -math.inf
        if self._gap_s > self._least_gap_s:
            due = self._sent[-1] + self._gap_s
        elif len(self._sent) == self._at_once:
            due = self._sent[0] + self._gap_s * self._at_once
        now = time.monotonic()
        if now < due:
            self._context.stop.wait(due - now)
        self._sent.append(max(now, due))
