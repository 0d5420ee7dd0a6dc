"""Dead letters, and what a replay made of them, as people and programs read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import count, islice
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from ops.duration import iso
from ops.log import clean
from sink.case import Case, Ending
from sink.letterbox import Numbered

_SHOWN_CHARACTERS = 100
_PAGE = 1000
_COLOUR = {
    Ending.PLANNED: "cyan",
    Ending.INDEXED: "green",
    Ending.OVERTAKEN: "green",
    Ending.REFUSED: "red",
    Ending.LEFT: "yellow",
}
_MEANING = {
    Ending.PLANNED: "would be indexed",
    Ending.INDEXED: "indexed, and dropped",
    Ending.OVERTAKEN: "overtaken by a later change, and dropped",
    Ending.REFUSED: "refused again",
    Ending.LEFT: "left, since nobody can tell whether they still count",
}


def summary(found: Numbered) -> dict[str, Any]:
    """One of `letters` in `tidemark.sink.deadletter.list/1`: all but the event."""
    about = found.letter.model_dump(mode="json", exclude={"format", "value", "building"})
    return {"number": found.number, **about}


def list_json(letters: Iterable[tuple[Numbered, bool | None]]) -> Iterator[bytes]:
    """One object, a piece at a time: there may be many letters. `overtaken` is null where nobody looked."""
    yield b'{"schema":"tidemark.sink.deadletter.list/1","letters":['
    for place, (found, overtaken) in enumerate(letters):
        yield (b"," if place else b"") + orjson.dumps({**summary(found), "overtaken": overtaken})
    yield b"]}\n"


def show_list(letters: Iterable[tuple[Numbered, bool | None]], console: Console) -> None:
    """A line for each, in grids of a thousand: there may be many letters."""
    coming, shown = iter(letters), 0
    for page in count():
        grid = _grid(islice(coming, _PAGE), header=page == 0)
        if not grid.row_count:
            break
        shown += grid.row_count
        console.print(grid)
    console.print(Text(f"{shown:,} dead letters", style="bold") if shown else "no dead letters")


def _grid(letters: Iterable[tuple[Numbered, bool | None]], *, header: bool) -> Grid:
    grid = Grid(box=None, pad_edge=False, header_style="bold", show_header=header)
    for title in ("number", "refused at", "table", "key", "why"):
        grid.add_column(title, justify="right" if title == "number" else "left", no_wrap=title != "why")
    for found, overtaken in letters:
        about = found.letter
        why = f"{'in the index; ' if overtaken else ''}{about.status} {about.type}: {about.reason}"
        texts = (_short(about.table), _short(about.key_text, 40), _short(why))
        # What others wrote is never markup: `[/b]` can be a key.
        grid.add_row(str(found.number), iso(about.ts_ms), *map(Text, texts))
    return grid


def show_json(found: Numbered) -> bytes:
    """`tidemark.sink.deadletter.show/1`: the letter, and its event as JSON; seqs are text in it too."""
    event = orjson.loads(found.letter.value) if found.letter.value else None
    source = event.get("source", {}) if event else {}
    if "seq" in source:  # Debezium writes none
        source["seq"] = str(source["seq"])
    return orjson.dumps({"schema": "tidemark.sink.deadletter.show/1", **summary(found), "event": event})


def show_letter(found: Numbered, console: Console) -> None:
    """All of it."""
    about = summary(found) | {"refused at": iso(found.letter.ts_ms)}
    del about["ts_ms"]
    for name, value in about.items():
        console.print(Text.assemble((f"{name:12}", "bold"), clean(str(value))), soft_wrap=True)
    console.print(Text("event", style="bold"))
    value = found.letter.value
    event = orjson.dumps(orjson.loads(value), option=orjson.OPT_INDENT_2).decode() if value else "not in the letter"
    for line in event.splitlines():
        console.print(Text(clean(line)), soft_wrap=True)


def replay_json(cases: Sequence[Case], *, applied: bool) -> bytes:
    """`tidemark.sink.deadletter.replay/1`."""
    found = [case.to_json() for case in cases]
    counts = dict(Counter(str(case.ending) for case in cases))
    return orjson.dumps(
        {"schema": "tidemark.sink.deadletter.replay/1", "applied": applied, "counts": counts, "letters": found}
    )


def show_replay(cases: Sequence[Case], console: Console, *, applied: bool) -> None:
    for case in cases:
        ending = case.ending or Ending.LEFT
        reason = f": {_short(case.reason)}" if case.reason else ""
        console.print(
            Text.assemble(
                f"{case.number:>8}  ", (f"{ending:10}", _COLOUR[ending]), _short(f"{case.table}/{case.id}"), reason
            ),
            soft_wrap=True,
        )
    counts = Counter(case.ending for case in cases)
    for ending, meaning in _MEANING.items():
        if counts[ending]:
            said = meaning if applied else meaning.replace(", and dropped", "; would be dropped")
            console.print(Text(f"{counts[ending]:,} {said}", style="bold"))
    if not cases:
        console.print("no dead letters")
    elif not applied:
        console.print("A dry run: nothing was written.")


def _short(text: str, most: int = _SHOWN_CHARACTERS) -> str:
    line = clean(text)
    return line if len(line) <= most else f"{line[:most]}…"
