"""What would become of a table's index, and what can be done to it as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from ops.catalog import Catalog
from schemas import names
from schemas.errors import ConfigError, IndexForeignError
from schemas.fit import misfits, unknown
from schemas.table import Table
from sink.definition import Definition
from sink.follow import follow
from sink.index import Index, Indices
from sink.mapping import Difference


class State(StrEnum):
    """What is to be done: nothing, by the sink at its start, in place, by a rebuild, by somebody."""

    CURRENT = "current"
    CREATE = "create"
    UPDATE = "update"
    CONFLICT = "conflict"
    FOREIGN = "foreign"

    @property
    def stuck(self) -> bool:
        """True for what neither `apply` nor the sink can do."""
        return self in (State.CONFLICT, State.FOREIGN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One table. `why`: of a foreign index, or what Elasticsearch refused; `applied`: what was changed just now.

    `outdated`: the index was made with another filter, transform or other fields, so that older documents may differ.
    """

    definition: Definition
    alias: str
    index: str
    state: State
    differences: tuple[Difference, ...] = ()
    why: str = ""
    applied: tuple[Difference, ...] = ()
    outdated: bool = False

    @property
    def diff(self) -> list[str]:
        return [*map(str, self.differences), *([self.why] if self.why else [])]

    def to_json(self) -> dict[str, Any]:
        """One of the `tables` of `tidemark.sink.mapping/1`."""
        table = self.definition.table
        return {
            "table": table.full_name,
            "version": table.version,
            "topic": table.topic,
            "alias": self.alias,
            "index": self.index,
            "state": self.state,
            "outdated": self.outdated,
            "diff": self.diff,
            "changes": [difference.to_json() for difference in self.differences],
            "applied": [difference.to_json() for difference in self.applied],
            "mapping": self.definition.mapping,
        }


def plan_of(indices: Indices, catalog: Catalog, table: Table) -> Plan:
    """Raises `ConfigError` if what is configured fits neither the table nor the cluster."""
    wanted, alias = indices.definition(table), indices.alias(table)
    _check(indices, catalog, wanted)
    try:
        index = indices.find(table)
    except IndexForeignError as error:
        return Plan(definition=wanted, alias=alias, index=alias, state=State.FOREIGN, why=error.what)
    if index is None:
        return Plan(definition=wanted, alias=alias, index=names.index(alias), state=State.CREATE)
    existing = indices.mappings(index)
    found = tuple(dict.fromkeys(_differences(indices, catalog, index, table, existing)))
    stuck = any(not difference.in_place for difference in found)
    state = State.CONFLICT if stuck else State.UPDATE if found else State.CURRENT
    return Plan(
        definition=wanted, alias=alias, index=index.name, state=state, differences=found,
        outdated=wanted.made_by_others(existing),
    )  # fmt: skip


def apply(indices: Indices, catalog: Catalog, plan: Plan) -> Plan:
    """Make what can be made in place, and look again.

    An index that is not there is left to the sink: it alone knows whether one was there.
    """
    table = plan.definition.table
    index = None if plan.state in (State.CREATE, State.FOREIGN) else indices.find(table)
    if index is None or not plan.differences:
        return plan
    followed = follow(indices, catalog, index, table)
    settings = plan.definition.dynamic_settings(plan.differences)
    if settings:
        indices.set(index, settings)
    after = plan_of(indices, catalog, table)
    done = tuple(difference for difference in plan.differences if difference not in after.differences)
    if followed.conflict is not None and not after.state.stuck:
        after = replace(after, state=State.CONFLICT, why=followed.conflict.what)
    return replace(after, applied=done)


def _check(indices: Indices, catalog: Catalog, wanted: Definition) -> None:
    table = wanted.table
    found = [*misfits(wanted.rules, table), *unknown(wanted.rules, catalog.columns(table.full_name))]
    if not found and (said := indices.refusal(wanted)):
        found = [f"Elasticsearch would refuse the index: {said}"]
    if found:
        raise ConfigError("; ".join(found), where=f'[sink.tables."{table.full_name}"]')


def _differences(
    indices: Indices, catalog: Catalog, index: Index, newest: Table, existing: Mapping[str, Any]
) -> Iterator[Difference]:
    """Of every version that the index still has to go through: what a later one takes back stops the table as well."""
    for number in range(min(index.version, newest.version), newest.version + 1):
        table = catalog.get(newest.full_name, number)
        if table is not None:
            yield from indices.definition(table).differences(existing)
    yield from indices.definition(newest).settings_differences(indices.settings(index))
