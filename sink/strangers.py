"""Tables that are configured and not captured: misspelt, as a rule, and then nothing of their section holds."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from difflib import get_close_matches

from schemas.errors import ConfigError

HINT = (
    "Write the name as MySQL shows it, capitals too. A table is captured from its first change on, or from cdc's start."
)


def strangers(configured: Collection[str], captured: Collection[str]) -> Iterator[tuple[str, str]]:
    """Each such `database.table`, and what is to be said of it; nothing while no table is captured at all."""
    for name in sorted(set(configured) - set(captured)) if captured else ():
        near = get_close_matches(name, captured, 1, 0.8)
        meant = f"; is {near[0]} meant?" if near else ""
        yield name, f'[sink.tables."{name}"] is of no captured table, nothing of it holds{meant}'


def refuse_other_case(configured: Collection[str], captured: Collection[str]) -> None:
    """Raise `ConfigError` for a name that is a captured table's but for capitals: what it excludes would be indexed."""
    by_fold = {name.casefold(): name for name in captured}
    for name, said in strangers(configured, captured):
        if by_fold.get(name.casefold(), name) not in {name, *configured}:
            raise ConfigError(said, where=f'[sink.tables."{name}"]', hint=HINT)
