"""A function of the user's own that makes the row of a document out of an event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from importlib import import_module
from typing import Any

from schemas.errors import ConfigError, DocumentError

Transform = Callable[[Mapping[str, Any]], Mapping[str, Any] | None]

_HINT = "Write `module:function`; the module has to be installed beside tidemark, or lie on PYTHONPATH."


def load(path: str) -> Transform:
    """The function that `module:function` names, guarded. Raises `ConfigError` if it is not there.

    What is returned raises `DocumentError`, which names the function, for whatever the function raises, and for what
    it returns that is neither a mapping with names as keys nor None.
    """
    module, _, name = path.partition(":")
    try:
        function = reduce(getattr, name.split("."), import_module(module))
    except Exception as error:  # somebody else's module: whatever it raises
        raise ConfigError(
            f"the transform `{path}` cannot be imported: {type(error).__name__}: {error}", hint=_HINT
        ) from error
    if not callable(function):
        raise ConfigError(f"the transform `{path}` is no function", hint=_HINT)

    def guarded(event: Mapping[str, Any]) -> Mapping[str, Any] | None:
        try:
            made = function(event)
        except Exception as error:  # somebody else's function: whatever it raises
            raise failure(path, f"raised {type(error).__name__}: {error}") from error
        if made is not None and not (isinstance(made, Mapping) and all(type(key) is str for key in made)):
            raise failure(path, f"returned a {type(made).__name__}, and neither a dict with names as keys nor None")
        return made

    return guarded


def failure(path: str, what: str) -> DocumentError:
    """The error that names the function."""
    return DocumentError(f"the transform `{path}` {what}", kind="transform_exception")
