"""What is made of the records that Debezium's connector wrote; the records are recorded from the real one."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

import debezium
from auditor.commands import app
from debezium import Recording
from ops.config import load
from schemas.debezium import DebeziumReader, layout, seq_of
from schemas.debezium_types import column_of, converter_of
from schemas.errors import ConfigError, FormatError, UsageError
from schemas.key import document_id
from schemas.mapping import table_mapping
from schemas.record import Kind
from schemas.table import ColumnType, Table

CONNECT = "org.apache.kafka.connect.data."


def decimal(unscaled: int, scale: int) -> Any:
    raw = unscaled.to_bytes((unscaled.bit_length() + 8) // 8, "big", signed=True)
    convert = converter_of({"field": "d", "type": "bytes", "name": f"{CONNECT}Decimal", "parameters": {"scale": scale}})
    assert convert is not None
    return convert(base64.b64encode(raw).decode())


@pytest.mark.parametrize(
    ("unscaled", "scale", "shown"),
    [(1230, 2, "12.30"), (-5, 2, "-0.05"), (0, 2, "0.00"), (-99999, 0, "-99999"), (10**12, 10, "100.0000000000")],
)
def test_decimals_keep_their_digits(unscaled: int, scale: int, shown: str) -> None:
    assert decimal(unscaled, scale) == shown


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("io.debezium.time.Date", -1, "1969-12-31"),
        ("io.debezium.time.Date", 20_778, "2026-11-21"),
        (f"{CONNECT}Date", 0, "1970-01-01"),
        ("io.debezium.time.Timestamp", 1_795_256_817_231, "2026-11-21T10:26:57.231"),
        ("io.debezium.time.Timestamp", -1000, "1969-12-31T23:59:59"),
        (f"{CONNECT}Timestamp", 0, "1970-01-01T00:00:00"),
        ("io.debezium.time.MicroTimestamp", 1_795_256_817_231_456, "2026-11-21T10:26:57.231456"),
        ("io.debezium.time.NanoTimestamp", 1_000, "1970-01-01T00:00:00.000001"),
        ("io.debezium.time.MicroTime", -3_020_398_000_000, "-838:59:58"),
        ("io.debezium.time.MicroTime", 1, "00:00:00.000001"),
        ("io.debezium.time.Time", 86_399_000, "23:59:59"),
        ("io.debezium.data.Bits", base64.b64encode((524289).to_bytes(3, "little")).decode(), 524289),
        ("io.debezium.data.EnumSet", "a,c", ["a", "c"]),
        ("io.debezium.data.EnumSet", "", []),
        ("io.debezium.data.Json", '{"k":[1,2.5,null]}', {"k": [1, 2.5, None]}),
    ],
)
def test_values_in_tidemarks_form(name: str, value: Any, shown: Any) -> None:
    convert = converter_of({"field": "f", "type": "int64", "name": name})
    assert convert is not None
    assert convert(value) == shown


def test_columns_of_types() -> None:
    known = {
        "int64": ColumnType.BIGINT, "string": ColumnType.VARCHAR, "boolean": ColumnType.BIT,
        "double": ColumnType.DOUBLE,
        "bytes": ColumnType.BLOB, "struct": ColumnType.JSON, "array": ColumnType.JSON,
    }  # fmt: skip
    for kind, wanted in known.items():
        assert column_of({"field": "f", "type": kind}).type is wanted
        assert converter_of({"field": "f", "type": kind}) is None
    assert column_of({"field": "f", "type": "int64", "name": "io.debezium.time.Timestamp"}).type is ColumnType.DATETIME


def applied(recording: Recording, table: str) -> dict[str, dict[str, Any]]:
    """What is left of a table when its records are read in order: _id -> row."""
    reader, ends, found = DebeziumReader(), {}, {}
    for one in recording.records:
        if one.table != table:
            continue
        offset = ends[one.partition] = ends.get(one.partition, -1) + 1
        read = reader.read(one.key, one.value, None, offset)
        assert read.seq == seq_of(offset)
        if read.kind is Kind.BARRIER:
            assert read.below == read.seq
            found.clear()
        elif read.kind is Kind.DELETE:
            found.pop(document_id(read.key), None)
        else:
            assert read.event is not None
            found[document_id(read.key)] = read.event["after"]
    return found


@pytest.mark.parametrize("table", debezium.PARTITIONS)
def test_with_schemas_every_value_is_as_select_shows_it(table: str) -> None:
    recording = debezium.load("schemas")
    found = applied(recording, table)
    for row in found.values():
        row.update({name: debezium.plain(value) for name, value in row.items() if name == "f" and value is not None})
    assert found == recording.rows[table]
    assert len(found) >= 2


def test_without_schemas_keys_and_rows_are_the_same() -> None:
    recording = debezium.load("plain")
    for table in ("orders", "kinds", "emptied"):
        found, wanted = applied(recording, table), recording.rows[table]
        assert found.keys() == wanted.keys()
        assert {key: row.get("note") for key, row in found.items()} == {k: r.get("note") for k, r in wanted.items()}
    assert applied(recording, "kinds")["1"]["da"] == -165


@pytest.mark.parametrize("name", ["schemas", "plain"])
def test_layouts(name: str) -> None:
    recording = debezium.load(name)
    one = next(one for one in recording.records if one.table == "pairs" and one.value)
    told = layout(one.key, one.value)
    assert told is not None
    columns, key = told
    assert key == ("a", "b")
    assert [column.name for column in columns] == (["a", "b", "v"] if name == "schemas" else [])
    table = Table(db="d", name="pairs", version=1, columns=columns, primary_key=key, open=True)
    mapping = table_mapping(table)
    assert mapping["dynamic"] is True
    assert set(mapping["properties"]) == {"_cdc", *(column.name for column in columns)}
    assert layout(one.key, None) is None


def test_a_column_that_is_called_payload() -> None:
    schema = {"type": "struct", "fields": [{"field": "payload", "type": "int32", "name": "io.debezium.time.Date"}]}
    key = orjson.dumps({"schema": schema, "payload": {"payload": 1}})
    assert DebeziumReader().read(key, None, None, 0).key == "1970-01-02"


def test_what_is_not_for_these_topics(tmp_path: Path) -> None:
    config = tmp_path / "tidemark.toml"
    config.write_text('[source]\nname = "x"\n[sink]\nformat = "debezium"\n')
    done = CliRunner().invoke(app, ["run", "--against", "mysql", "-c", str(config)])
    assert isinstance(done.exception, UsageError)
    config.write_text('[source]\nname = "x"\n[sink]\ntopics = ["x.*"]\n')
    with pytest.raises(ConfigError, match="topics is for format"):
        load(config)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, None),
        (b'{"id":1}', b"{"),
        (b'{"id":1}', b'{"id":1,"note":"flattened"}'),
        (b'{"id":1}', b'{"op":"m","source":{"ts_ms":1},"after":null}'),
        (b'{"id":1}', b'{"op":"c","source":{"ts_ms":1},"after":null}'),
        (None, b'{"op":"c","source":{"ts_ms":1},"after":{"id":1}}'),
        (b'{"schema":{},"payload":{"id":1}}', b'{"op":"d","source":{"ts_ms":1},"after":null}'),
    ],
)
def test_what_is_refused(key: bytes | None, value: bytes | None) -> None:
    with pytest.raises(FormatError, match="not a change event of Debezium"):
        DebeziumReader().read(key, value, None, 0)
