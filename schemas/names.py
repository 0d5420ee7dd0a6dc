"""Names in the outside world: topics, control topics, index aliases. Injective, so two tables never meet in one."""

from __future__ import annotations

import hashlib
import re

TOPIC_LIMIT = 249
ALIAS_LIMIT = 240  # Elasticsearch allows 255 bytes; the index behind an alias adds ".000001"

_PLAIN = re.compile(rb"[a-zA-Z0-9_]")


def escape(name: str) -> str:
    """Every UTF-8 byte outside `[a-zA-Z0-9_]` as `-xx`."""
    return "".join(chr(byte) if _PLAIN.match(bytes([byte])) else f"-{byte:02x}" for byte in name.encode())


def topic(source: str, db: str, table: str, *, taken: frozenset[str] = frozenset()) -> str:
    """The topic of a table. `taken`: topics of other tables, since Kafka treats `.` and `_` alike in a collision."""
    plain = f"{source}.{escape(db)}.{escape(table)}"
    clash = any(_metric(plain) == _metric(other) for other in taken if other != plain)
    if len(plain) <= TOPIC_LIMIT and not clash:
        return plain
    mark = f"--{hashlib.sha256(plain.encode()).hexdigest()[:8]}"
    return plain[: TOPIC_LIMIT - len(mark)] + mark


def _metric(name: str) -> str:
    # Kafka refuses a topic whose metric name, where '.' becomes '_', exists already (Topic.hasCollision).
    return name.replace(".", "_")


def alias(topic_name: str) -> str:
    """The index alias of a topic: index names are lower case, so capitals become `-xx` too."""
    lower = "".join(f"-{ord(letter):02x}" if letter.isupper() else letter for letter in topic_name)
    if len(lower) <= ALIAS_LIMIT:
        return lower
    mark = f"--{hashlib.sha256(lower.encode()).hexdigest()[:8]}"
    return lower[: ALIAS_LIMIT - len(mark)] + mark


def index(alias_name: str, generation: int = 1) -> str:
    """The index behind an alias: `<alias>.000001`."""
    return f"{alias_name}.{generation:06d}"


def next_alias(alias_name: str) -> str:
    """The alias of an index that is built beside the one behind `alias_name`, until it takes that one's place."""
    return f"{alias_name}.next"


def positions_topic(source: str) -> str:
    return f"{source}.__positions"


def schema_topic(source: str) -> str:
    return f"{source}.__schema"


def control_topic(source: str) -> str:
    return f"{source}.__control"


def deadletter_topic(source: str) -> str:
    return f"{source}.__deadletter"


def control_topics(source: str) -> frozenset[str]:
    """All four. The topic of a table may look alike: `shop.__archive.t`, of a database `__archive`."""
    return frozenset(name(source) for name in (positions_topic, schema_topic, control_topic, deadletter_topic))
