"""A plan for a person to read."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from rich.console import Console
from rich.text import Text

from sink.plan import Plan, State

_SAID = {
    State.CURRENT: ("as it should be", "green"),
    State.CREATE: ("the sink will make it", "green"),
    State.UPDATE: ("can be changed in place: tidemark sink mapping apply {table}", "yellow"),
    State.CONFLICT: ("has to be built anew: tidemark sink rebuild {table}", "bold red"),
    State.FOREIGN: ("is somebody else's", "bold red"),
}


def show(plans: Sequence[Plan], strangers: Sequence[str]) -> None:
    """On stdout; `strangers`: configured tables that are not captured."""
    console = Console(highlight=False, soft_wrap=True)
    for plan in plans:
        _show(console, plan)
    if not plans:
        console.print("no table is captured yet")
    for name in strangers:
        console.print(Text.assemble(f'[sink.tables."{name}"]  ', ("no such table is captured", "yellow")))


def _show(console: Console, plan: Plan) -> None:
    table = plan.definition.table
    said, style = _SAID[plan.state]
    said = said.format(table=table.full_name)
    console.print(Text.assemble(f"{table.full_name} (version {table.version}) -> {plan.index}  ", (said, style)))
    for difference in plan.applied:
        console.print(Text.assemble(("  done      ", "green"), str(difference)))
    for difference in plan.differences:
        mark = ("  in place  ", "yellow") if difference.in_place else ("  rebuild   ", "bold red")
        console.print(Text.assemble(mark, str(difference)))
    if plan.outdated:
        console.print(
            "  filter, transform or fields are not those that the index was made with: rows that have not changed"
        )
        console.print(
            Text(f"  since then have their old documents; for new ones: tidemark sink rebuild {table.full_name}")
        )
    if plan.why:
        console.print(Text(f"  {plan.why}"))
    if plan.state is State.CREATE:
        for name, field in plan.definition.mapping["properties"].items():
            console.print(Text(f"    {name}: {orjson.dumps(field).decode()}"))
