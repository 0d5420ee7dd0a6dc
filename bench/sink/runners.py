"""Those who fill the index, each a process: the sink as a user runs it, its limits, and the usual way."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.child import Child
from bench.elastic import Elastic
from bench.sink.rows import Filled

_ROOT = Path(__file__).parents[2]  # nothing of this folder is installed


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a run happens. `connections`: as many as the sink has lanes; `items`: of a request of the others."""

    elastic: Elastic
    kafka: str
    folder: Path
    connections: int
    items: int
    sink: Mapping[str, Any]


def sink(place: Place, source: str, group: str) -> Child:
    """`tidemark sink run`; `group` begins where nothing was committed."""
    config = _configured(place, source, group)
    return Child([sys.executable, "-m", "tidemark", "sink", "run", "-c", str(config)], place.folder / f"{group}.log")


def recorder(place: Place, source: str, group: str, recorded: Path) -> Child:
    """The same, and the requests that it sends are kept in the folder `recorded`."""
    return _module(place, "record", [_configured(place, source, group), recorded], group)


def _configured(place: Place, source: str, group: str) -> Path:
    tree: dict[str, dict[str, Any]] = {
        "source": {"name": source},
        "kafka": {"bootstrap_servers": place.kafka},
        "elasticsearch": {"urls": [place.elastic.url]},
        "sink": {"group": group, "lanes": place.connections, **place.sink},
        "service": {"sink_listen": "127.0.0.1:0"},
    }
    config = place.folder / f"{group}.toml"
    lines = []
    for section, values in tree.items():
        lines += [f"[{section}]", *(f"{name} = {json.dumps(value)}" for name, value in values.items())]
    config.write_text("\n".join(lines), encoding="utf-8")
    return config


def limit(place: Place, filled: Filled, name: str, recorded: Path) -> Child:
    """The requests that a sink has sent."""
    return _module(place, "post", [place.elastic.url, recorded, filled.rows], name)


def ideal(place: Place, filled: Filled, name: str) -> Child:
    """Requests as no sink can send them."""
    numbers = [filled.rows, place.items, place.connections]
    return _module(place, "ideal", [place.elastic.url, filled.source, filled.topic_id, *numbers], name)


def helpers(place: Place, filled: Filled, name: str) -> Child:
    """`helpers.parallel_bulk`, fed from the same topic."""
    numbers = [filled.rows, place.items, place.connections]
    where = [place.elastic.url, place.kafka, filled.table.topic, filled.topic_id]
    return _module(place, "helpers", [*where, *numbers], name)


def _module(place: Place, module: str, arguments: list[Any], name: str) -> Child:
    command = [sys.executable, "-m", f"bench.sink.{module}", *map(str, arguments)]
    return Child(command, place.folder / f"{name}.log", {"PYTHONPATH": str(_ROOT)})
