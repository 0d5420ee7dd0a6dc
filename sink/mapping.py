"""What lies between the mapping that an index has and the one that its table asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Properties = Mapping[str, Any]

# What Elasticsearch lets change in a field that exists; everything else needs a new index.
_CHANGEABLE = frozenset(
    {
        "coerce", "copy_to", "depth_limit", "eager_global_ordinals", "fielddata", "ignore_above", "ignore_malformed",
        "meta", "search_analyzer", "search_quote_analyzer",
    }
)  # fmt: skip
# What changes a field by not being there any more; other parameters that nobody asked for are Elasticsearch's defaults.
_TELLING = frozenset({"analyzer", "normalizer", "search_analyzer", "format", "null_value", "copy_to"})
_NESTED = ("properties", "fields")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """`field`: dotted, with a parameter's name if only that differs. `has` is empty for what is not there.

    `in_place`: it can be made without a new index.
    """

    field: str
    has: str
    needs: str
    in_place: bool

    def __str__(self) -> str:
        return f"{self.field}: has {self.has}, needs {self.needs}" if self.has else f"{self.field}: new, {self.needs}"

    def to_json(self) -> dict[str, Any]:
        """As `tidemark.sink.mapping/1` has it."""
        return {"field": self.field, "has": self.has or None, "needs": self.needs, "in_place": self.in_place}


def field_type(field: Mapping[str, Any]) -> str:
    """A field's type; Elasticsearch leaves `object` out where there are properties."""
    return str(field.get("type", "object"))


def differences(existing: Properties, *wanted: Properties) -> list[Difference]:
    """What the fields of an index lack of those that are wanted.

    `wanted`: acceptable variants (clusters differ in the types they know); the first is what a new index would get.
    """
    return [found for name in wanted[0] for found in _field(name, existing.get(name), [each[name] for each in wanted])]


def changed(existing: Properties, *wanted: Properties) -> dict[str, Any]:
    """The fields to add or to change, whole."""
    return {
        name: _nearest(existing.get(name), [each[name] for each in wanted])
        for name in wanted[0]
        if _field(name, existing.get(name), [each[name] for each in wanted])
    }


def _nearest(has: Mapping[str, Any] | None, variants: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    alike = (variant for variant in variants if has is not None and field_type(variant) == field_type(has))
    return next(alike, variants[0])


def _field(path: str, has: Mapping[str, Any] | None, variants: Sequence[Mapping[str, Any]]) -> list[Difference]:
    wants = _nearest(has, variants)
    if has is None:
        return [Difference(field=path, has="", needs=field_type(wants), in_place=True)]
    if field_type(has) != field_type(wants):
        return [Difference(field=path, has=field_type(has), needs=field_type(wants), in_place=False)]
    return [*_parameters(path, has, wants), *_inner(path, has, wants)]


def _inner(path: str, has: Mapping[str, Any], wants: Mapping[str, Any]) -> Iterator[Difference]:
    for nested in _NESTED:
        for name, field in wants.get(nested, {}).items():
            yield from _field(f"{path}.{name}", has.get(nested, {}).get(name), [field])


def _parameters(path: str, has: Mapping[str, Any], wants: Mapping[str, Any]) -> Iterator[Difference]:
    telling = [key for key in has if key in _TELLING and key not in wants]
    for key in (*wants, *telling):
        if key not in (*_NESTED, "type") and not same(has.get(key), wants.get(key)):
            yield Difference(
                field=f"{path}.{key}",
                has=_shown(has.get(key)),
                needs=_shown(wants.get(key)),
                in_place=key in _CHANGEABLE,
            )


def same(has: Any, wants: Any) -> bool:
    """True if a value that Elasticsearch shows says what was asked for; it may show more, and it shows texts."""
    if isinstance(wants, Mapping):
        return isinstance(has, Mapping) and all(same(has.get(key), value) for key, value in wants.items())
    if isinstance(wants, list) and isinstance(has, list):
        return len(has) == len(wants) and all(map(same, has, wants))
    return has == wants or str(has).lower() == str(wants).lower()


def _shown(value: Any) -> str:
    return "the default" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def field_count(mapping: Mapping[str, Any]) -> int:
    """How many fields Elasticsearch counts against `index.mapping.total_fields.limit`: objects and sub-fields too."""
    inner = {**mapping.get("properties", {}), **mapping.get("fields", {})}
    return sum(1 + field_count(field) for field in inner.values())
