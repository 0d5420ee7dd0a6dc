"""Records of a topic are read natively where the extension is installed (`schemas/native`), else by Python."""

from importlib import import_module
from typing import Any, NamedTuple

EXTENSION: Any = None
MISSING = ""
try:
    EXTENSION = import_module("schemas._native")
except ImportError as error:  # no compiler was at hand when it was installed, or it was for another Python
    MISSING = str(error)

#: How to get what was not built.
INSTALL = (
    "Install a native wheel, or a Rust toolchain (rustup.rs) and then tidemark-cdc from its source: "
    "TIDEMARK_NATIVE=require pip install --force-reinstall ."
)


class Reader(NamedTuple):
    """Who reads the records of topics, `native` or `python`, and why; `slow`: nobody has asked for that."""

    name: str
    why: str
    slow: bool = False

    def __str__(self) -> str:
        return f"records are read {'natively' if self.name == 'native' else 'by Python'}: {self.why}"


def reader(*, foreign: bool) -> Reader:
    """Who reads topics of tidemark's, or `foreign` ones."""
    if foreign:
        return Reader("python", "the native extension reads tidemark's own format only")
    if MISSING:
        return Reader("python", f"the native extension is not installed: {MISSING}", slow=True)
    return Reader("native", "the extension is installed")
