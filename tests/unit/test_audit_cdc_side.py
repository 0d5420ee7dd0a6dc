"""Where cdc is, as its position tells."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from auditor import cdc_side
from auditor.cdc_side import CdcSide
from auditor.mysql_server import Mark
from auditor.run_context import Context
from ops.settings import Settings
from schemas.errors import FormatError, LaggingError
from schemas.position import Position

SETTINGS = Settings.model_validate({"source": {"name": "s"}, "audit": {"wait_s": 0.01}})


def position(pos: int) -> bytes:
    found = Position(gtid_set="", file="bin.000001", pos=pos, server_uuid="u", seq=1, partitions={})
    return orjson.dumps(found.to_json())


def side(monkeypatch: pytest.MonkeyPatch, *values: bytes | None) -> CdcSide:
    class Reader:
        def __init__(self, *_: object) -> None:
            self._left = list(values)

        def to_end(self) -> Iterator[Any]:
            while self._left:
                value = self._left.pop(0)
                yield SimpleNamespace(key=lambda: b'"position"', value=lambda value=value: value)

    monkeypatch.setattr(cdc_side, "ControlReader", Reader)
    return CdcSide(Context(settings=SETTINGS))


MARK = Mark(file="bin.000001", pos=500, server_uuid="u", gtid_set="")


def test_only_the_last_position_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    side(monkeypatch, position(4), b"garbage", position(600)).wait(MARK)
    side(monkeypatch, position(600), None).wait(MARK)
    with pytest.raises(LaggingError, match=r"bin\.000001:4 "):
        side(monkeypatch, position(600), position(4)).wait(MARK)


@pytest.mark.parametrize("value", [b"garbage", b"[]"])
def test_a_damaged_one_is_named(monkeypatch: pytest.MonkeyPatch, value: bytes) -> None:
    with pytest.raises(FormatError, match="stored position"):
        side(monkeypatch, position(600), value).wait(MARK)
