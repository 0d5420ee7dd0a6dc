"""Records of a topic are read natively where the extension is installed (`schemas/native`), else by Python."""

from importlib import import_module
from typing import Any

EXTENSION: Any = None
MISSING = ""
try:
    EXTENSION = import_module("schemas._native")
except ImportError as error:  # no compiler was at hand when it was installed, or it was for another Python
    MISSING = str(error)
