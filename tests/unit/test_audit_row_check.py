"""A row of MySQL beside its document: what is protected is told nowhere."""

from __future__ import annotations

from typing import Any

import pytest

from auditor.differences import FIELDS_LIMIT
from auditor.doc import Doc
from auditor.events import Event
from auditor.excuses import Excuses
from auditor.mysql_table import SqlRow
from auditor.mysql_types import SqlColumn
from auditor.row_check import RowCheck
from schemas.condition import Condition
from schemas.errors import InconclusiveError
from schemas.shape import Rules, Shape
from schemas.table import Column, ColumnType, Protection, Table

_SECRET = "alice@secret"
_HASH = "0f" * 32


def table(**protections: Protection | None) -> Table:
    columns = [Column(name="id", type=ColumnType.INT)]
    columns += [Column(name=name, type=ColumnType.VARCHAR, protection=kind) for name, kind in protections.items()]
    return Table(db="s", name="t", version=1, columns=tuple(columns), primary_key=("id",), topic="a.s.t")


def check(layout: Table, **rules: Any) -> RowCheck:
    shown = [SqlColumn(name=one.name, kind=one.type.value, full=one.type.value) for one in layout.columns]
    return RowCheck(layout, shown, Shape(Rules(**rules), ("id",)))


def row(**values: Any) -> SqlRow:
    return SqlRow(id="1", key="1", values={"id": 1, **values}, raw={})


@pytest.mark.parametrize("kind", list(Protection))
@pytest.mark.parametrize("found", [None, _SECRET, "bob@secret", 5, "x" * 64])
def test_protected_values_are_not_told(kind: Protection, found: Any) -> None:
    [differs] = check(table(email=kind)).differs(row(email=_SECRET), {"id": 1, "email": found})
    assert differs.field == "email"
    assert differs.expected == {"hash": "a hash", "mask": '"***"'}[kind.value]
    assert differs.found == ("null" if found is None else "something else")
    [differs] = check(table(email=kind)).differs(row(email=None), {"id": 1, "email": found or _SECRET})
    assert (differs.expected, differs.found) == ("null", "something else")


def test_what_is_protected_is_right() -> None:
    layout = table(email=Protection.HASH, phone=Protection.MASK)
    one = check(layout, filter=(Condition(column="Phone", op="=", value="***"),))
    assert one.exists(row(email=_SECRET, phone="5"))
    assert not one.exists(row(email=_SECRET, phone=None))
    assert one.differs(row(email=_SECRET, phone="5"), {"id": 1, "email": _HASH, "phone": "***"}) == []


def test_a_transform_sees_what_events_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schemas.transform.load", lambda _: lambda event: {"all": str(event["after"])})
    one = check(table(phone=Protection.MASK), transform="a:b")
    [differs] = one.differs(row(phone=_SECRET), {"id": 1})
    assert _SECRET not in (differs.expected or "")
    assert "***" in (differs.expected or "")


def test_nothing_is_said_of_what_would_need_the_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schemas.transform.load", lambda _: lambda event: event["after"])
    layout = table(email=Protection.HASH)
    check(layout, filter=(Condition(column="email", op="is not null"),))
    for rules in ({"filter": (Condition(column="EMAIL", op="=", value=_HASH),)}, {"transform": "a:b"}):
        with pytest.raises(InconclusiveError, match="sees hashes of email"):
            check(layout, **rules)


def test_fields_are_cut_after_those_that_are_excused(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"big{number:02}" for number in range(FIELDS_LIMIT)]
    layout = table(**dict.fromkeys([*names, "last"]))
    left_out, doc = dict.fromkeys(names), Doc(id="1", partition=0, offset=5)
    found = check(layout).differs(
        row(**dict.fromkeys(names, "x"), last="right"), {"id": 1, **left_out, "last": "wrong"}
    )
    assert len(found) == FIELDS_LIMIT + 1
    source = {"omitted": names}
    monkeypatch.setattr("auditor.excuses.events", lambda *_: [Event(0, 5, {"source": source})])
    nothing: Any = None
    excuses = Excuses(nothing, nothing, Shape(Rules(), ("id",)), nothing)
    [left] = excuses.not_omitted(doc, found)
    assert left.field == "last"
