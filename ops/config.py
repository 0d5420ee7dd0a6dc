"""Finds `tidemark.toml`, lays environment and flags over it, and says all that is wrong with it at once."""

from __future__ import annotations

import difflib
import inspect
import os
import tomllib
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ops.settings import Settings
from schemas.errors import ConfigError

ENV_PREFIX = "TIDEMARK_"
_LIMIT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Settings, and where each of them came from: dotted key -> `file`, `environment`, `flag`; absent: default."""

    settings: Settings
    path: Path | None
    origin: Mapping[str, str] = field(default_factory=dict)


def load(
    path: Path | None = None, *, flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
) -> Loaded:
    """Read the settings. `flags`: dotted key -> value. Raises `ConfigError` that lists every fault."""
    env = os.environ if environ is None else environ
    found = _find(path, env)
    tree: dict[str, Any] = {}
    origin: dict[str, str] = {}
    layers = (
        (dict(_leaves(_read(found))) if found else {}, f"file {found}"),
        (dict(_environment(env)), "environment"),
        ({tuple(key.split(".")): value for key, value in (flags or {}).items()}, "flag"),
    )
    for leaves, name in layers:
        for keys, value in leaves.items():
            _put(tree, keys, value, name)
            origin[".".join(keys)] = name
    if found is None and "source" not in tree:
        raise ConfigError(
            "there is no configuration",
            where=", ".join(str(place) for place in _places(env)),
            hint="Write one with `tidemark init`, or name it with -c.",
        )
    try:
        return Loaded(settings=Settings.model_validate(tree), path=found, origin=origin)
    except ValidationError as error:
        raise _explain(error, origin, str(found or "environment")) from None


def _places(env: Mapping[str, str]) -> list[Path]:
    home = Path(env.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return [Path("tidemark.toml"), home / "tidemark/tidemark.toml", Path("/etc/tidemark/tidemark.toml")]


def _find(path: Path | None, env: Mapping[str, str]) -> Path | None:
    named = path or (Path(env["TIDEMARK_CONFIG"]) if env.get("TIDEMARK_CONFIG") else None)
    if named is None:
        return next((place for place in _places(env) if place.is_file()), None)
    if not named.is_file():
        raise ConfigError(
            "the configuration file does not exist", where=str(named), hint="Check -c or $TIDEMARK_CONFIG."
        )
    return named


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            raise ConfigError("the configuration file is larger than 1 MiB", where=str(path))
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not valid TOML: {error}", where=str(path)) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from None


def _leaves(tree: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            if not value:
                yield (*above, key), {}
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _environment(env: Mapping[str, str]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, text in sorted(env.items()):
        section, marker, key = name.removeprefix(ENV_PREFIX).partition("__")
        if not name.startswith(ENV_PREFIX) or not marker:
            continue
        keys = (section.lower(), *key.lower().split("__"))
        yield keys, _from_text(text, _annotation(Settings, keys))


def _annotation(model: type[BaseModel], keys: tuple[str, ...]) -> object:
    known = model.model_fields.get(keys[0])
    if known is None:
        return None
    inner = known.annotation
    if len(keys) > 1 and isinstance(inner, type) and issubclass(inner, BaseModel):
        return _annotation(inner, keys[1:])
    return inner


def _from_text(text: str, annotation: object) -> Any:
    """A list is comma-separated; everything else is what pydantic makes of the text."""
    if typing.get_origin(annotation) is list:
        return [item.strip() for item in text.split(",") if item.strip()]
    return text


def _put(tree: dict[str, Any], keys: tuple[str, ...], value: Any, layer: str) -> None:
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"{'.'.join(keys)} is set below a value that is no section", where=layer)
    tree[keys[-1]] = value


def _explain(error: ValidationError, origin: Mapping[str, str], default: str) -> ConfigError:
    lines = []
    for fault in error.errors(include_url=False, include_input=False):
        place = [str(part) for part in fault["loc"]]
        dotted = ".".join(place)
        where = next((name for key, name in origin.items() if key.startswith(dotted) and dotted), default)
        if fault["type"] == "extra_forbidden":
            lines.append(f"unknown key `{dotted}`{_suggest(place)} ({where})")
        elif fault["type"] == "missing":
            lines.append(f"`{dotted}` is required ({default})")
        else:
            text = fault["msg"].removeprefix("Value error, ")
            lines.append(f"`{dotted}`: {text[:1].lower()}{text[1:]} ({where})")
    return ConfigError("; ".join(lines), hint="`tidemark config show` lists every key with its value and origin.")


def _suggest(place: list[str]) -> str:
    siblings = list(_siblings(Settings, place[:-1]))
    close = difflib.get_close_matches(place[-1], siblings, n=1)
    return f"; did you mean `{'.'.join([*place[:-1], close[0]])}`?" if close else ""


def _siblings(model: type[BaseModel], path: list[str]) -> Iterator[str]:
    if not path:
        yield from model.model_fields
        return
    known = model.model_fields.get(path[0])
    if known is not None:
        for inner in _models(known.annotation):
            rest = path[1:] if inner is known.annotation else path[2:]
            yield from _siblings(inner, rest)


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _models(part)
