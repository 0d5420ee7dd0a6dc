"""The settings of one table's index: which documents it has, and how their fields are mapped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from ops.section import ColumnNames, Section
from schemas.condition import WITH_LIST, WITHOUT_VALUE, Condition, Operator, Scalar
from schemas.document import field_name
from schemas.shape import Rules, twice
from schemas.table import folded_column
from schemas.values import bounded, type_named

TableName = Annotated[str, Field(pattern=r"^[^.*?]+\.[^*?]+$")]  # a wildcard would match nothing, without a word


_TAKEN = {"gc_deletes", "default_pipeline", "final_pipeline"}


def flat(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """An index's settings by their dotted names, without `index.` before them."""
    for key, value in settings.items():
        name = f"{above}{key}".removeprefix("index.")
        if isinstance(value, Mapping):
            yield from flat(value, "" if name == "index" else f"{name}.")
        else:
            yield name, value


def _field(name: str) -> str:
    if not name or field_name(name) != name:
        raise ValueError(f"`{name}` cannot be a field: no leading `_` (`_cdc` and its kin are taken), no `.`, no `%`")
    return name


FieldName = Annotated[str, AfterValidator(_field)]


class FilterSettings(Section):
    """One condition of a filter; see `schemas.condition`. All of a table's have to hold."""

    column: Annotated[str, Field(min_length=1)]
    op: Operator = "="
    value: Scalar | list[Scalar] | None = None

    @model_validator(mode="after")
    def _value_fits(self) -> Self:
        if (self.value is None) != (self.op in WITHOUT_VALUE):
            raise ValueError(f"`{self.op}` {'needs a' if self.value is None else 'has no'} value")
        if isinstance(self.value, list) != (self.op in WITH_LIST):
            raise ValueError(f"the value of `{self.op}` is {'a list' if self.op in WITH_LIST else 'no list'}")
        return self


class FieldSettings(Section):
    """Which columns become fields, under which names, with which mappings. Columns have no case."""

    include: ColumnNames = []
    exclude: ColumnNames = []
    rename: dict[str, FieldName] = {}
    type: dict[str, str | dict[str, Any]] = {}
    analyzer: dict[str, str] = {}

    @model_validator(mode="after")
    def _no_contradiction(self) -> Self:
        if self.include and self.exclude:
            raise ValueError("give either include or exclude, not both")
        if several := twice(list(self.rename.values())):
            raise ValueError(f"several columns are renamed to {several}")
        for name, columns in (("rename", self.rename), ("type", self.type), ("analyzer", self.analyzer)):
            folded = [folded_column(column) for column in columns]
            if len(set(folded)) < len(folded):
                raise ValueError(f"{name} has a column twice")
            out = {column for column in columns if not self.has(column)}
            if out:
                raise ValueError(f"{name} has {', '.join(sorted(out))}, which is left out")
        return self

    def has(self, column: str) -> bool:
        """False if the column is left out."""
        chosen = {folded_column(name) for name in self.include or self.exclude}
        return not chosen or (folded_column(column) in chosen) == bool(self.include)


class SinkTableSettings(Section):
    """What is special about one table's index. `index` is the alias that is searched.

    `transform`: `module:function`; `routing`: columns of the primary key; `settings`: the index's, as Elasticsearch
    has them.
    """

    index: str | None = None
    fields: FieldSettings = FieldSettings()
    filter: list[FilterSettings] = []
    transform: Annotated[str, Field(pattern=r"^([\w.]+:[\w.]+)?$")] = ""
    routing: ColumnNames = []
    settings: dict[str, Any] = {}

    @field_validator("settings")
    @classmethod
    def _not_ours(cls, settings: dict[str, Any]) -> dict[str, Any]:
        taken = sorted({name for name, _ in flat(settings)} & _TAKEN)
        if taken:
            raise ValueError(f"{', '.join(taken)} cannot be set: deletes would come back, or documents be others")
        return settings

    @property
    def rules(self) -> Rules:
        """What makes its documents and its mapping."""
        fields = self.fields
        return Rules(
            include=frozenset(fields.include) if fields.include else None,
            exclude=frozenset(fields.exclude),
            rename=fields.rename,
            types={
                name: type_named(kind) if isinstance(kind, str) else bounded(kind) for name, kind in fields.type.items()
            },
            analyzers=fields.analyzer,
            filter=tuple(
                Condition(column=c.column, op=c.op, value=tuple(c.value) if isinstance(c.value, list) else c.value)
                for c in self.filter
            ),
            transform=self.transform,
            routing=tuple(self.routing),
        )
