"""The independent comparison of MySQL and Elasticsearch: SQL renders the values, plain requests read the documents.

It shares no code with cdc, sink or auditor. `absent is null`.
"""

from __future__ import annotations

import hashlib
import json
import struct
import time
from collections.abc import Callable
from typing import Any

from elasticsearch import Elasticsearch

_BINARY = {"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"}
_TEXT = {"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum"}
_SPATIAL = {
    "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geomcollection",
}  # fmt: skip


def _expression(name: str, kind: str) -> str:
    quoted = "`" + name.replace("`", "``") + "`"
    if kind in _BINARY:
        return f"REPLACE(TO_BASE64({quoted}), '\\n', '')"
    if kind in _TEXT or kind == "set":
        return f"CONVERT({quoted} USING utf8mb4)"
    if kind in _SPATIAL:
        return _wkt(quoted)
    if kind == "bit":
        return f"CAST({quoted} AS UNSIGNED)"
    if kind == "float":
        return f"CAST({quoted} AS DOUBLE)"
    if kind in {"decimal", "date", "datetime", "timestamp", "time", "json"}:
        return f"CAST({quoted} AS CHAR)"
    if kind == "year":
        return f"{quoted} + 0"
    return quoted


def _wkt(quoted: str) -> str:
    # ST_AsText takes the axis order only for geographic systems, so SRID 0 is asked without.
    return f"CONCAT(ST_SRID({quoted}), ' ', ST_AsText({quoted}))"


def _value(raw: Any, kind: str, column_type: str) -> Any:
    if raw is None:
        return None
    if kind == "bit":
        return bool(raw) if column_type == "bit(1)" else int(raw)
    if kind == "float":
        return struct.pack("<f", raw)
    if kind == "double":
        return float(raw)
    if kind == "datetime":
        return raw.replace(" ", "T")
    if kind == "timestamp":
        return raw.replace(" ", "T") + "Z"
    if kind == "set":
        return raw.split(",") if raw else []
    if kind == "json":
        return json.loads(raw)
    if kind in _SPATIAL:
        srid, _, wkt = raw.partition(" ")
        return {"srid": int(srid), "wkt": wkt}
    return raw


def mysql_rows(connection: Any, db: str, table: str) -> dict[str, dict[str, Any]]:
    """`_id` -> row, every value as its event should show it."""
    with connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00'")
        cursor.execute(
            "SELECT column_name, data_type, column_type FROM information_schema.columns"
            " WHERE table_schema=%s AND table_name=%s ORDER BY ordinal_position",
            (db, table),
        )
        columns = [(name, kind, full) for name, kind, full in cursor.fetchall()]
        cursor.execute(
            "SELECT column_name FROM information_schema.statistics"
            " WHERE table_schema=%s AND table_name=%s AND index_name='PRIMARY' ORDER BY seq_in_index",
            (db, table),
        )
        key = [name for (name,) in cursor.fetchall()]
        select = ", ".join(_expression(name, kind) for name, kind, _ in columns)
        cursor.execute(f"SELECT {select} FROM `{db}`.`{table}`")
        rows = {}
        for raw in cursor.fetchall():
            row = {name: _value(value, kind, full) for (name, kind, full), value in zip(columns, raw, strict=True)}
            rows[_id([row[name] for name in key])] = row
        return rows


def _id(values: list[Any]) -> str:
    text = json.dumps(values, separators=(",", ":"), ensure_ascii=False)
    if len(values) == 1:
        text = values[0] if isinstance(values[0], str) else json.dumps(values[0])
    taken = not text or len(text.encode()) > 512 or text.startswith("sha256:")
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" if taken else text


def documents(client: Elasticsearch, alias: str) -> dict[str, dict[str, Any]]:
    """`_id` -> `_source` of everything behind an alias, read page by page after a refresh."""
    if not client.indices.exists(index=alias):
        return {}
    client.indices.refresh(index=alias)
    found: dict[str, dict[str, Any]] = {}
    after: list[Any] | None = None
    while True:
        page = client.search(index=alias, size=5000, sort=[{"_cdc.key": "asc"}], search_after=after)
        assert page["_shards"]["failed"] == 0
        for hit in page["hits"]["hits"]:
            found[hit["_id"]] = hit["_source"]
            after = hit["sort"]
        if len(page["hits"]["hits"]) < 5000:
            return found


def differences(connection: Any, client: Elasticsearch, db: str, table: str, alias: str) -> list[str]:
    """Every way in which a table and its index differ; empty when they are equal."""
    expected, found = mysql_rows(connection, db, table), documents(client, alias)
    said = [f"{table}/{key}: missing" for key in expected.keys() - found.keys()]
    said += [f"{table}/{key}: there, though deleted" for key in found.keys() - expected.keys()]
    for key in expected.keys() & found.keys():
        for name, value in expected[key].items():
            field = name.replace("%", "%25").replace(".", "%2E")
            shown = found[key].get("_" + field if field.startswith("_") else field)
            if isinstance(value, bytes) and isinstance(shown, int | float):
                shown = struct.pack("<f", shown)
            if isinstance(value, dict) and set(value) == {"srid", "wkt"} and isinstance(shown, dict):
                value, shown = _loose(value), _loose(shown)  # noqa: PLW2901
            if shown != value or isinstance(shown, bool) is not isinstance(value, bool):
                said.append(f"{table}/{key}.{name}: {value!r} in MySQL, {shown!r} in the index")
    return said


def _loose(geometry: dict[str, Any]) -> dict[str, Any]:
    return {"srid": geometry["srid"], "wkt": geometry["wkt"].replace(" (", "(").replace(", ", ",")}


def await_equal(
    connection: Any,
    client: Elasticsearch,
    db: str,
    aliases: dict[str, str],
    *,
    alive: Callable[[], None] = lambda: None,
    timeout_s: float = 90,
) -> None:
    """Wait until every table equals its index; then say what differs."""
    deadline = time.monotonic() + timeout_s
    while True:
        said = [line for table, alias in aliases.items() for line in differences(connection, client, db, table, alias)]
        if not said:
            return
        alive()
        assert time.monotonic() < deadline, "\n".join(["MySQL and Elasticsearch differ:", *said[:20], f"({len(said)})"])
        time.sleep(0.2)
