"""Which fields of two documents differ, in words that fit into a report. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auditor.digest import canonical, settled
from schemas.report import Differs

FIELDS_LIMIT = 20
_SHOWN = 200


def differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[Differs]:
    """The fields that differ, `_cdc.rev` aside, `_cdc` field by field; the first twenty of them."""
    left, right = _flat(expected), _flat(found)
    names = [name for name in {**left, **right} if _json(left, name) != _json(right, name)]
    return [Differs(field=name, expected=_cut(left, name), found=_cut(right, name)) for name in names[:FIELDS_LIMIT]]


def _flat(source: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(settled(source))
    block = made.pop("_cdc", None)
    if isinstance(block, Mapping):
        made |= {f"_cdc.{name}": value for name, value in block.items()}
    elif block is not None:
        made["_cdc"] = block
    return made


def _json(fields: Mapping[str, Any], name: str) -> bytes | None:
    return canonical(fields[name]) if name in fields else None


def _cut(fields: Mapping[str, Any], name: str) -> str | None:
    return shown(fields[name]) if name in fields else None


def shown(value: Any) -> str:
    """A value as JSON, cut to a length that fits into a report."""
    text = canonical(value).decode(errors="replace")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
