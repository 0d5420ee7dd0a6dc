"""Which engine reads the binlog, and why."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from cdc.source.native import MISSING, NativeSource
from cdc.source.portable import PortableSource
from cdc.source.seam import ChangeSource
from schemas.errors import ConfigError

Name = Literal["auto", "native", "portable"]


class Engine(NamedTuple):
    """The engine that runs: `native` or `portable`, and why it is this one."""

    name: str
    why: str


def chosen(wanted: Name) -> Engine:
    """The engine for `[cdc] engine`. Raises `ConfigError` if it was not built."""
    if wanted == "portable":
        return Engine("portable", "the configuration says so")
    if wanted == "auto":
        # Until every fault test has run on the native engine too, it is there to be asked for.
        return Engine("portable", "the native engine is still to be asked for by name")
    if not MISSING:
        return Engine("native", "the configuration says so")
    raise ConfigError(
        f"the native engine is not installed: {MISSING}",
        hint="Install a Rust toolchain (rustup.rs) and then TIDEMARK_NATIVE=require pip install --force-reinstall "
        'tidemark-cdc from its source, or a native wheel; or take [cdc] engine = "auto".',
    )


def open_source(wanted: Name, **arguments: Any) -> ChangeSource:
    """A source of the engine for `[cdc] engine`, from `NativeSource`'s arguments."""
    if chosen(wanted).name == "native":
        return NativeSource(**arguments)
    return PortableSource(**{name: value for name, value in arguments.items() if name != "ca_file"})
