"""The core loop of cdc, and what is wrapped around it: metrics, health, smaller batches after a slow commit."""

from __future__ import annotations

import threading
import time

from cdc.meter import Meter
from cdc.session import Opener, Session, silence_s
from ops import service
from ops.crashpoint import reached
from ops.health import Health
from ops.log import logger
from ops.settings import Settings
from ops.stop import Stop
from schemas.errors import DuplicateReaderError, SlowCommitError
from schemas.position import Position

_log = logger(__name__)

_SMALLEST_SHARE = 1 / 64
_GROW_AFTER_S = 300  # a session begins anew to gather more: a second's pause, so not often
_GRACE_S = 2  # beyond what a session waits for the server, which then says why


def run(settings: Settings) -> None:
    """Publish until asked to stop."""
    pipeline: Pipeline | None = None

    def body(stop: Stop, health: Health) -> None:
        nonlocal pipeline
        health.stalled_after_s = silence_s(settings.cdc.heartbeat_s) + _GRACE_S
        pipeline = pipeline or Pipeline(settings, stop, health)
        pipeline.run()

    service.run(settings, "cdc", settings.service.cdc_listen, body)


class Pipeline:
    """One process's sessions, one after the other; each starts from the stored position."""

    def __init__(self, settings: Settings, stop: Stop, health: Health) -> None:
        self._stop = stop
        self._health = health
        self._opener = Opener(settings, stop)
        self._meter = Meter()
        health.details = self._meter.details
        threading.Thread(target=self._announce_stop, name="stop-announcer", daemon=True).start()

    def run(self) -> None:
        """Sessions, until the stop or an error. Raises `TidemarkError`."""
        while self._session():
            pass

    def _session(self) -> bool:
        """One session; True if there should be another one, with larger batches."""
        self._meter.session()
        try:
            with self._opener.session() as session:
                self._meter.moved(session.begin())
                try:
                    return self._publish(session)
                except SlowCommitError:
                    self._shrink()
                    raise
        except DuplicateReaderError as error:
            raise self._opener.rival() or error from error

    def _shrink(self) -> None:
        share = self._opener.share = max(_SMALLEST_SHARE, self._opener.share / 2)
        _log.warning("Kafka was too slow for a batch, the next are smaller", action="smaller_batches", share=share)

    def _publish(self, session: Session) -> bool:
        began_s = time.monotonic()
        for batch in session.batches():
            reached("after_read")
            self._health.beat()
            reached("before_publish")
            if batch.ddl is not None:  # what comes before a statement is published, however that is judged
                self._committed(session.settle())
            with self._meter.publishing(batch):
                position = session.publish(batch)
            self._committed(position)
            if self._stop.requested:
                break
            if position is not None and self._opener.share < 1 and time.monotonic() > began_s + _GROW_AFTER_S:
                self._opener.share *= 2
                return True
        self._committed(session.settle())
        self._stopping()
        return False

    def _committed(self, position: Position | None) -> None:
        if position is None:
            return
        reached("after_publish")
        self._meter.moved(position)
        if not self._stop.requested:
            self._health.up()

    def _announce_stop(self) -> None:
        while not self._stop.wait(60):
            pass
        self._stopping()

    def _stopping(self) -> None:
        if self._stop.requested:
            self._health.down("stopping", "stopping")
