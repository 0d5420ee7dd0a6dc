"""Which engine reads the binlog, and why."""

from __future__ import annotations

from typing import Literal, NamedTuple

from cdc.source.native import MISSING, NativeSource
from cdc.source.options import SourceOptions
from cdc.source.portable import PortableSource
from cdc.source.seam import ChangeSource
from schemas.errors import ConfigError
from schemas.extension import INSTALL

Name = Literal["auto", "native", "portable"]


class Engine(NamedTuple):
    """The engine that runs: `native` or `portable`, and why it is this one."""

    name: str
    why: str


def chosen(wanted: Name) -> Engine:
    """The engine for `[cdc] engine`. Raises `ConfigError` if it was not built."""
    if wanted == "portable":
        return Engine("portable", "the configuration says so")
    if not MISSING:
        return Engine("native", "it is installed" if wanted == "auto" else "the configuration says so")
    if wanted == "auto":
        return Engine("portable", f"the native engine is not installed: {MISSING}")
    raise ConfigError(
        f"the native engine is not installed: {MISSING}",
        hint=f'{INSTALL} Or take [cdc] engine = "auto".',
    )


def open_source(wanted: Name, options: SourceOptions) -> ChangeSource:
    """A source of the engine for `[cdc] engine`."""
    return NativeSource(options) if chosen(wanted).name == "native" else PortableSource(options)
