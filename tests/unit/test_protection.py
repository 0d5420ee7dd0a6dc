"""Policies of columns: what is hashed, which patterns hold, and what speaks against a layout."""

from __future__ import annotations

import hmac
import pickle

import orjson
import pytest

from cdc.source.hash_key import HashKey
from cdc.source.protection import Policy, Protections, TablePolicies
from cdc.source.protection_check import check_layout
from schemas.errors import FormatError, ProtectionError
from schemas.table import Column, ColumnType, Protection, Table
from schemas.values import field_mapping

SECRET = b"0123456789abcdef0123456789abcdef"
KEY = HashKey(SECRET)
COLUMNS = (
    Column(name="id", type=ColumnType.INT, nullable=False),
    Column(name="ssn", type=ColumnType.CHAR, length=11, charset="latin1"),
    Column(name="kind", type=ColumnType.ENUM, labels=("private", "company"), charset="utf8mb4"),
    Column(name="phone", type=ColumnType.BIGINT, unsigned=True, nullable=False),
)


def digest(text: str) -> str:
    return hmac.new(SECRET, text.encode(), "sha256").hexdigest()


def protections(**sections: tuple[dict[str, str], set[str]]) -> Protections:
    return Protections(
        {
            pattern.replace("__", "."): TablePolicies(
                columns={column: Policy(policy) for column, policy in columns.items()}, optional=frozenset(optional)
            )
            for pattern, (columns, optional) in sections.items()
        },
        KEY,
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [("é", "é"), ("", ""), (42, "42"), ("42", "42"), (True, "true"), (1.5, "1.5"), (["a", "ü"], '["a","ü"]'),
     ({"srid": 0, "wkt": "POINT (1 2)"}, '{"srid":0,"wkt":"POINT (1 2)"}'), (orjson.Fragment(b'"a\\"b"'), 'a"b'),
     (orjson.Fragment(b'{"a":1}'), '{"a":1}')],
)  # fmt: skip
def test_the_hash_is_of_the_value_as_an_event_shows_it(value: object, text: str) -> None:
    assert KEY.of_value(value) == digest(text)


def test_null_stays_null() -> None:
    assert KEY.of_value(None) is None
    assert KEY.of_value(orjson.Fragment(b"null")) is None


def test_the_key_shows_itself_nowhere() -> None:
    shown = f"{KEY!r} {KEY} {protections(d__t=({'a': 'hash'}, set())).of('d', 't')!r}"
    assert SECRET.decode() not in shown
    with pytest.raises(TypeError, match="written nowhere"):
        pickle.dumps(KEY)


def test_all_patterns_that_match_hold() -> None:
    found = protections(
        **{
            "shop__*": ({"ssn": "exclude"}, {"ssn"}),
            "shop__customers": ({"phone": "mask", "ssn": "exclude"}, {"phone"}),
        }
    )
    both, one = found.of("shop", "customers"), found.of("shop", "orders")
    assert both is not None
    assert one is not None
    assert (both.columns, both.optional) == ({"ssn": Policy.EXCLUDE, "phone": Policy.MASK}, {"phone"})
    assert (one.columns, one.optional) == ({"ssn": Policy.EXCLUDE}, {"ssn"})
    assert found.of("other", "customers") is None
    assert not Protections()


def test_names_that_were_asked_for_are_not_gathered() -> None:
    """Every CREATE and ALTER asks, also those of tables with ever new names."""
    found = protections(**{"shop__*": ({"ssn": "exclude"}, set())})
    before = {name: len(value) for name, value in vars(found).items() if isinstance(value, dict)}
    assert [found.of(db, f"t{number}") is None for number in range(100) for db in ("shop", "other")] == [
        False,
        True,
    ] * 100
    assert {name: len(value) for name, value in vars(found).items() if isinstance(value, dict)} == before


def test_a_layout_as_events_show_it() -> None:
    protection = protections(d__t=({"ssn": "exclude", "kind": "hash", "phone": "mask"}, set())).of("d", "t")
    assert protection is not None
    columns = protection.shown(COLUMNS)
    assert columns == (
        COLUMNS[0],
        Column(
            name="kind", type=ColumnType.ENUM, labels=(digest("private"), digest("company")), charset="utf8mb4",
            protection=Protection.HASH,
        ),
        Column(name="phone", type=ColumnType.BIGINT, nullable=False, protection=Protection.MASK),
    )  # fmt: skip
    assert [field_mapping(column)["type"] for column in columns] == ["long", "keyword", "keyword"]
    table = Table(db="d", name="t", version=1, columns=columns, primary_key=("id",), topic="s.d.t")
    record = orjson.loads(orjson.dumps(table.to_json()))
    assert record["format"] == 2
    assert Table.from_json(record) == table
    plain = Table(db="d", name="t", version=1, columns=COLUMNS, primary_key=("id",), topic="s.d.t")
    assert plain.to_json()["format"] == 1
    with pytest.raises(FormatError):
        Table.from_json({**record, "format": 3})


@pytest.mark.parametrize(
    ("columns", "optional", "words"),
    [
        ({"snn": "exclude"}, set(), "d.t has no column snn, which is to be excluded; did you mean ssn?"),
        ({"SNN": "hash"}, set(), "d.t has no column SNN, which is to be hashed; did you mean ssn?"),
        ({"SSN": "hash"}, set(), ""),
        ({"id": "hash"}, set(), "column id of d.t is in its primary key"),
        ({"ID": "mask"}, {"ID"}, "column id of d.t is in its primary key"),
        ({"gone": "mask"}, {"gone"}, ""),
        ({"ssn": "mask"}, set(), ""),
    ],
)
def test_what_speaks_against_a_layout(columns: dict[str, str], optional: set[str], words: str) -> None:
    protection = protections(d__t=(columns, optional)).of("d", "t")
    assert protection is not None
    if not words:
        check_layout("d", "t", protection, COLUMNS, ["id"])
        return
    with pytest.raises(ProtectionError) as caught:
        check_layout("d", "t", protection, COLUMNS, ["id"])
    assert words in caught.value.what
    assert caught.value.hint


@pytest.mark.parametrize("optional", [set(), {"Ssn"}, {"sSN"}])
def test_names_are_compared_as_the_server_does(optional: set[str]) -> None:
    """Without case, with accents: MySQL has `ß` beside `ss`, and `śsn` beside `ssn`, but not `İ` beside `i`."""
    protection = protections(d__t=({"Ssn": "exclude", "KIND": "mask", "İd2": "hash"}, optional | {"İD2"})).of("d", "t")
    assert protection is not None
    assert [column.name for column in protection.shown(COLUMNS)] == ["id", "kind", "phone"]
    assert protection.shown(COLUMNS)[1].protection is Protection.MASK
    assert protection.optional == ({"ssn", "id2"} if optional else {"id2"})
    assert [protection.of(name) for name in ("śsn", "id2", "ssn ")] == [None, Policy.HASH, None]
    check_layout("d", "t", protection, COLUMNS, ["id"])


def test_one_name_in_two_spellings_is_one_column() -> None:
    found = protections(**{"d__*": ({"ssn": "hash"}, set()), "*__t": ({"SSN": "exclude"}, {"SSN"})}).of("d", "t")
    assert found is not None
    assert found.optional == frozenset()
    with pytest.raises(ProtectionError, match=r"column ssn of d\.t is in several policies: exclude and hash"):
        check_layout("d", "t", found, COLUMNS, ["id"])


def test_patterns_that_contradict_each_other_are_refused() -> None:
    found = protections(**{"d__*": ({"ssn": "hash"}, set()), "*__t": ({"ssn": "exclude"}, set())}).of("d", "t")
    assert found is not None
    assert found.columns == {"ssn": Policy.EXCLUDE}
    with pytest.raises(ProtectionError, match=r"column ssn of d\.t is in several policies: exclude and hash"):
        check_layout("d", "t", found, COLUMNS, ["id"])
