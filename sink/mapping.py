"""What lies between the mapping that an index has and the one that its table asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Properties = Mapping[str, Any]


def field_type(field: Mapping[str, Any]) -> str:
    """A field's type; Elasticsearch leaves `object` out where there are properties."""
    return str(field.get("type", "object"))


def conflicts(existing: Properties, *wanted: Properties) -> list[str]:
    """Fields whose type Elasticsearch would have to change, as `name: has keyword, needs text`.

    `wanted`: acceptable variants (clusters differ in the types they know); the first is what a new index would get.
    """
    found = []
    for name, field in wanted[0].items():
        if name not in existing:
            continue
        has = field_type(existing[name])
        if has not in {field_type(variant[name]) for variant in wanted}:
            found.append(f"{name}: has {has}, needs {field_type(field)}")
    return found


def missing(existing: Properties, wanted: Properties) -> dict[str, Any]:
    """The fields to add."""
    return {name: field for name, field in wanted.items() if name not in existing}


def field_count(mapping: Mapping[str, Any]) -> int:
    """How many fields Elasticsearch counts against `index.mapping.total_fields.limit`: objects and sub-fields too."""
    inner = {**mapping.get("properties", {}), **mapping.get("fields", {})}
    return sum(1 + field_count(field) for field in inner.values())
