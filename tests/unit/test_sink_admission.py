"""What goes on to the lanes, without Kafka."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import orjson

from schemas.shape import Rules, Shape
from sink.admission import Admission
from sink.share import Share
from sink.trouble import Troubles
from sink_kit import BASE, part_of

RULES = Rules(routing=("shop",))


def message(offset: int, version: int, *key: Any) -> Any:
    """A row whose key has these columns."""
    columns = {f"c{place}": value for place, value in enumerate(key)}
    source = {"seq": BASE + offset, "table_version": version, "ts_ms": 1}
    value = orjson.dumps({"op": "c", "source": source, "after": columns})
    told = {"offset": offset, "key": orjson.dumps(columns), "value": value, "headers": [],
            "timestamp": (1, int(time.time() * 1000))}  # fmt: skip
    return SimpleNamespace(**{name: lambda found=found: found for name, found in told.items()})


def test_rows_go_by_the_primary_key_that_their_table_has_now() -> None:
    old, new = Shape(RULES, ("shop", "id")), Shape(RULES, ("id", "shop"))
    targets: dict[str, Any] = {}
    sent: list[Share] = []
    anything: Any = None
    admission = Admission(
        lanes=1, put=lambda _lane, share: sent.append(share), targets=lambda: targets, look=lambda: None,
        sweep=anything, troubles=Troubles(),
    )  # fmt: skip
    part = part_of(shape=old)
    targets[part.topic] = SimpleNamespace(version=1, shape=old, retention_s=60.0)
    admission.take(part, [message(0, 1, "a", 1)])
    admission.take(part, [message(1, 2, 1, "a")])  # waits for its version
    targets[part.topic] = SimpleNamespace(version=2, shape=new, retention_s=60.0)
    admission.release(part)
    admission.take(part, [message(2, 2, 2, "a")])
    routings = [orjson.loads(share.lines.split(b"\n")[0])["index"]["routing"] for share in sent]
    assert routings == ["a", "a", "a"]
