"""Logging: a sentence, a stable `action`, context. Text on a terminal, JSON elsewhere; always on stderr."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_LONGEST = 2000


def logger(name: str) -> Any:
    """A structlog logger; the name is the module's."""
    return structlog.get_logger(module=name)


def configure(log_format: str = "auto", level: str = "info", **context: Any) -> None:
    """Set logging up once per process. `context` stands on every line."""
    as_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    render: Callable[..., Any] = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _harmless,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**context)


def _harmless(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Control characters escaped and long values cut, so that a row's value cannot forge a line."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = clean(value)
    return event


def clean(text: str) -> str:
    """Text that is safe on a terminal and in a line-based log."""
    cut = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", cut)
