"""Values from their bytes: vectors that MySQL wrote, and what does not fit anywhere else."""

from __future__ import annotations

import struct

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.source import charset, geometry, jsonb, numeric, temporal
from cdc.source.gtid_command import dump_gtid_command, encode_gtid_set
from cdc.source.wire import packed, version_number
from schemas.errors import UndecodableError


@pytest.mark.parametrize(
    ("raw", "precision", "scale", "text"),
    [
        ("810dfb38d204d2", 14, 4, "1234567890.1234"),  # the example in strings/decimal.cc
        ("7ef204c72dfb2d", 14, 4, "-1234567890.1234"),
        ("8000", 4, 2, "0.00"),
        ("80", 1, 0, "0"),
        ("89", 1, 0, "9"),
        ("800001", 5, 5, "0.00001"),
    ],
)
def test_decimals(raw: str, precision: int, scale: int, text: str) -> None:
    assert numeric.decimal_bytes(precision, scale) == len(raw) // 2
    assert numeric.decimal_text(bytes.fromhex(raw), precision, scale) == text


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float_reads_back_and_is_short(value: float) -> None:
    raw = struct.pack("<f", value)
    found = numeric.float32(raw)
    assert found is not None
    assert struct.pack("<f", found) == raw
    assert len(orjson.dumps(found)) <= len(orjson.dumps(value))


def test_floats_that_mysql_does_not_store() -> None:
    assert numeric.float32(struct.pack("<f", float("nan"))) is None
    assert numeric.float64(struct.pack("<d", float("inf"))) is None
    assert numeric.vector(struct.pack("<ff", 0.1, 1e-45)) == [0.1, 1e-45]
    assert numeric.float32(b"\xff\xff\x7f\x7f") == 3.4028235e38


def test_times() -> None:
    assert temporal.time_text(bytes.fromhex("7fffffffffff"), 6) == "-00:00:00.000001"
    assert temporal.time_text(bytes.fromhex("800000"), 0) == "00:00:00"
    assert temporal.timestamp_text(bytes(4), 0) == "0000-00-00T00:00:00Z"
    assert temporal.timestamp_text(bytes(7), 6) == "0000-00-00T00:00:00.000000Z"
    assert temporal.timestamp_text(b"\x7f\xff\xff\xff", 0) == "2038-01-19T03:14:07Z"
    assert temporal.timestamp_text(b"\xff\xff\xff\xff", 0) == "2106-02-07T06:28:15Z"
    assert (temporal.year(0), temporal.year(1), temporal.year(255)) == (0, 1901, 2155)


def test_old_times() -> None:
    assert temporal.old_datetime_text((20261121102657).to_bytes(8, "little")) == "2026-11-21T10:26:57"
    assert temporal.old_time_text((-8385959).to_bytes(3, "little", signed=True)) == "-838:59:59"
    assert temporal.old_timestamp_text((1).to_bytes(4, "little")) == "1970-01-01T00:00:01Z"


def test_json_that_is_damaged_stops() -> None:
    with pytest.raises(UndecodableError):
        jsonb.to_json(b"\x00\x05\x00\xff\xff")
    with pytest.raises(UndecodableError):
        jsonb.to_json(b"\x0c\x02\xff\xff")  # a string that is no UTF-8
    assert jsonb.to_json(b"") == b"null"


def test_geometry_of_either_byte_order() -> None:
    little = bytes.fromhex("e61000000101000000") + struct.pack("<dd", 3, 2)
    big = bytes.fromhex("e61000000000000001") + struct.pack(">dd", 3, 2)
    assert geometry.decode(little) == geometry.decode(big) == {"srid": 4326, "wkt": "POINT (3 2)"}
    with pytest.raises(UndecodableError):
        geometry.decode(little[:-1])


def test_character_sets() -> None:
    assert charset.decoder("latin1")(b"\x80\x81\x9d") == "\u20ac\x81\x9d"
    assert charset.decoder("swe7")(b"[\\]{|}") == "ÄÖÅäöå"
    assert charset.label(b"\xff", "ascii") == "base64:/w=="
    with pytest.raises(UnicodeDecodeError):
        charset.decoder("ucs2")(b"\xd8\x3d\xde\x00")
    with pytest.raises(UndecodableError):
        charset.of_collation(2000)
    with pytest.raises(UndecodableError):
        charset.decoder("ebcdic")


def test_packed_numbers() -> None:
    assert packed(b"\xfa", 0) == (250, 1)
    assert packed(b"\xfc\x01\x02", 0) == (513, 3)
    assert packed(b"\xfd\x01\x00\x01", 0) == (65537, 4)
    assert packed(b"\xfe" + b"\xff" * 8, 0) == (2**64 - 1, 9)
    with pytest.raises(UndecodableError):
        packed(b"\xff", 0)


def test_versions() -> None:
    assert [version_number(text) for text in ("9.7.4-2", "8.0.36", "10.11.6-MariaDB-log", "x")] == [
        90704, 80036, 101106, 0,
    ]  # fmt: skip


def test_gtid_sets_on_the_wire() -> None:
    uuid = "11111111-2222-3333-4444-555555555555"
    raw = bytes.fromhex(uuid.replace("-", ""))
    plain = encode_gtid_set(f"{uuid}:1-3:7")
    assert plain == struct.pack("<Q", 1) + raw + struct.pack("<QQQQQ", 2, 1, 4, 7, 8)
    tagged = encode_gtid_set(f"{uuid}:1-3:tag:7")
    assert tagged == (
        struct.pack("<Q", 1 << 56 | 2 << 8 | 1)
        + raw + b"\0" + struct.pack("<QQQ", 1, 1, 4)
        + raw + b"\6tag" + struct.pack("<QQQ", 1, 7, 8)
    )  # fmt: skip
    assert dump_gtid_command(f"{uuid}:1-3:7", 42) == struct.pack("<HIIQI", 4, 42, 0, 4, len(plain)) + plain
