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


def admission_of(targets: dict[str, Any], sent: list[Share], troubles: Troubles | None = None) -> Admission:
    anything: Any = None
    return Admission(
        lanes=1, put=lambda _lane, share: sent.append(share), targets=lambda: targets, look=lambda: None,
        sweep=anything, troubles=troubles or Troubles(),
    )  # fmt: skip


def test_rows_go_by_the_primary_key_that_their_table_has_now() -> None:
    old, new = Shape(RULES, ("shop", "id")), Shape(RULES, ("id", "shop"))
    targets: dict[str, Any] = {}
    sent: list[Share] = []
    admission = admission_of(targets, sent)
    part = part_of(shape=old)
    targets[part.topic] = SimpleNamespace(version=1, shape=old, retention_s=60.0)
    admission.take(part, [message(0, 1, "a", 1)])
    admission.take(part, [message(1, 2, 1, "a")])  # waits for its version
    targets[part.topic] = SimpleNamespace(version=2, shape=new, retention_s=60.0)
    admission.release(part)
    admission.take(part, [message(2, 2, 2, "a")])
    routings = [orjson.loads(share.lines.split(b"\n")[0])["index"]["routing"] for share in sent]
    assert routings == ["a", "a", "a"]


def test_a_version_is_a_trouble_as_long_as_something_of_ours_waits_for_it() -> None:
    shape, troubles, targets = Shape(RULES, ("shop", "id")), Troubles(), {}
    admission = admission_of(targets, [], troubles)
    leaving, staying = part_of(0, shape=shape), part_of(1, shape=shape)
    targets[leaving.topic] = SimpleNamespace(version=1, shape=shape, retention_s=60.0)
    for part in (leaving, staying):
        admission.take(part, [message(0, 2, "a", 1)])
    leaving.owned = False
    admission.tell()
    assert troubles.reason.startswith("version 2 of shop.orders: ")
    staying.owned = False
    admission.tell()
    assert troubles.reason == ""


def test_a_version_that_has_come_is_no_trouble() -> None:
    shape, troubles, targets = Shape(RULES, ("shop", "id")), Troubles(), {}
    sent: list[Share] = []
    admission, part = admission_of(targets, sent, troubles), part_of(shape=shape)
    targets[part.topic] = SimpleNamespace(version=1, shape=shape, retention_s=60.0)
    admission.take(part, [message(0, 2, "a", 1), message(1, 3, "b", 1)])
    targets[part.topic] = SimpleNamespace(version=2, shape=shape, retention_s=60.0)
    admission.release(part)
    admission.tell()
    assert troubles.reason.startswith("version 3 of shop.orders: ")
    targets[part.topic] = SimpleNamespace(version=3, shape=shape, retention_s=60.0)
    admission.release(part)
    admission.tell()
    assert troubles.reason == ""
    assert len(sent) == 2
