"""Liveness is progress, readiness is the ability to move data; both over HTTP, with `/status` and `/metrics`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from schemas.errors import ConfigError, LockedError
from schemas.event import VERSION
from schemas.status import Status

State = Literal["starting", "running", "stopping", "failed"]
_STUCK_S = 60
_LAST_PORT = 65535


class Health:
    """What a service says about itself; written by its loop, read by the HTTP thread."""

    def __init__(self, service: Literal["cdc", "sink", "audit"], name: str) -> None:
        self.service = service
        self.name = name
        self.state: State = "starting"
        self.ups = 0  # how often it became ready
        self.stalled_after_s = float("inf")  # a loop that went round this long ago moves no data, whatever it said
        self.details: Callable[[], dict[str, object]] = dict
        self._up = False
        self._reason = "starting"
        self._since = datetime.now(UTC)
        self._beat = time.monotonic()

    def beat(self) -> None:
        """The loop went round."""
        self._beat = time.monotonic()

    def up(self) -> None:
        """Data can move."""
        self.ups += not self._up
        self.state, self._up, self._reason = "running", True, ""
        self.beat()

    def down(self, reason: str, state: State = "running") -> None:
        """Data cannot move, and why."""
        self.state, self._up, self._reason = state, False, reason
        self.beat()

    @property
    def alive(self) -> bool:
        return self._silence_s < _STUCK_S

    @property
    def ready(self) -> bool:
        return self._up and self._silence_s < self.stalled_after_s

    @property
    def reason(self) -> str:
        """Why it is not ready; empty if it is."""
        if self._up and not self.ready:
            return f"stalled: nothing has moved for {self._silence_s:.0f} s"
        return self._reason

    @property
    def _silence_s(self) -> float:
        return time.monotonic() - self._beat

    def status(self) -> Status:
        return Status(
            service=self.service,
            name=self.name,
            version=VERSION,
            state=self.state,
            ready=self.ready,
            reason=self.reason,
            since=self._since,
            details=self.details(),
        )


class HealthServer:
    """Serves a `Health` from a thread of its own."""

    def __init__(self, health: Health, listen: str) -> None:
        host, _, port = listen.rpartition(":")
        if not host or not port.isdigit() or int(port) > _LAST_PORT:
            raise ConfigError(f"`{listen}` is no address", hint="Write host:port, for instance 127.0.0.1:9701.")
        config = uvicorn.Config(
            _application(health, host), host=host, port=int(port), log_config=None, lifespan="off", access_log=False
        )
        self._listen = listen
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, name="health", daemon=True)
        self._config = config

    def start(self) -> None:
        """Raises `LockedError` if the port is taken."""
        try:
            socket = self._config.bind_socket()
        except (SystemExit, OSError):
            raise LockedError(
                f"cannot listen on {self._listen}",
                hint="Another process has the port: set [service] cdc_listen, sink_listen or audit_listen.",
            ) from None
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [socket]}, name="health", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True


def _application(health: Health, host: str) -> Starlette:
    def livez(_: Request) -> Response:
        return PlainTextResponse("ok\n" if health.alive else "stuck\n", 200 if health.alive else 503)

    def readyz(_: Request) -> Response:
        return PlainTextResponse("ok\n" if health.ready else f"{health.reason}\n", 200 if health.ready else 503)

    def status(_: Request) -> Response:
        return JSONResponse(health.status().model_dump(mode="json", by_alias=True))

    def metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    # A page elsewhere can make a browser ask a loopback port by DNS rebinding: only known Host headers are answered.
    loopback = host in ("127.0.0.1", "::1", "localhost")
    allowed = ["127.0.0.1", "localhost", "[::1]"] if loopback else ["*"]
    return Starlette(
        routes=[
            Route(path, view)
            for path, view in (("/livez", livez), ("/readyz", readyz), ("/status", status), ("/metrics", metrics))
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=allowed)],
    )
