"""Every setting, its type, its default. `ops.config` finds and reads them."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, field_validator, model_validator

from ops.section import ColumnNames, Section
from ops.sink_table import SinkTableSettings, TableName
from schemas.errors import ConfigError
from schemas.position import named_gtids
from schemas.table import folded_column

_MIB = 1 << 20
_OPEN_TO_OTHERS = stat.S_IWGRP | stat.S_IRWXO
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_SIZE = re.compile(r"(\d+)\s*(B|KiB|MiB|GiB)?")
_UNITS = {None: 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def _bytes(value: object) -> object:
    found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    return int(found[1]) * _UNITS[found[2]] if found else value


def _no_bool(value: object) -> object:
    if isinstance(value, bool):  # Python counts true as 1
        raise ValueError("a number is wanted, not true or false")  # noqa: TRY004  pydantic turns ValueError into a fault
    return value


def _start(text: str) -> str:
    if text.startswith("gtid:"):
        named_gtids(text.removeprefix("gtid:"))
    return text


def _prom(path: Path | None) -> Path | None:
    if path is not None and path.suffix != ".prom":
        raise ValueError("the textfile collector reads only files whose names end in .prom")
    return path


Whole = Annotated[int, BeforeValidator(_no_bool)]
Bytes = Annotated[Whole, BeforeValidator(_bytes), Field(gt=0)]
Seconds = Annotated[float, BeforeValidator(_no_bool), Field(gt=0, allow_inf_nan=False)]
Linger = Annotated[float, BeforeValidator(_no_bool), Field(ge=0, le=60)]
Start = Annotated[str, Field(pattern=r"^(latest|earliest|gtid:(?s:.*)|file:[^:]+:\d+)$"), AfterValidator(_start)]
TablePattern = Annotated[str, Field(pattern=r"^[^.]+\..+$")]
Port = Annotated[Whole, Field(ge=0, le=65535)]


def read_secret(path: Path) -> str:
    """The text of a file that the settings name. Raises `ConfigError` if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"a file that the configuration names cannot be read: {reason}", where=str(path)) from None


def existing(path: Path) -> str:
    """The path of a file that a client library will read. Raises `ConfigError` if it is not there to be read."""
    try:
        path.open("rb").close()
    except OSError as error:
        what = f"a file that the configuration names cannot be read: {error.strerror}"
        raise ConfigError(what, where=str(path)) from None
    return str(path)


class _WithPassword(Section):
    user: str = ""
    password: SecretStr | None = None
    password_file: Path | None = None

    def secret(self) -> str:
        """The password, from its file if it has one; a newline at the file's end is not a part of it."""
        if self.password_file is not None:
            return read_secret(self.password_file).rstrip("\r\n")
        return self.password.get_secret_value() if self.password is not None else ""

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if self.password is not None and self.password_file is not None:
            raise ValueError("give either password or password_file, not both")
        return self


class SourceSettings(_WithPassword):
    """The MySQL server, and the pipeline's name: topics, positions and aliases begin with it."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$", max_length=64)]
    host: str = "127.0.0.1"
    port: Port = 3306
    socket: Path | None = None
    user: str = "tidemark"
    tls: Literal["verify", "off"] | None = None
    ca_file: Path | None = None
    server_id: Annotated[Whole, Field(ge=1, le=2**32 - 1)] | None = None
    connect_timeout_s: Seconds = 10

    @property
    def verify_tls(self) -> bool:
        """Off is the default only for loopback and sockets."""
        if self.tls is None:
            return self.socket is None and self.host not in _LOOPBACK
        return self.tls == "verify"

    @property
    def where(self) -> str:
        return str(self.socket) if self.socket else f"{self.host}:{self.port}"


class KafkaSettings(_WithPassword):
    """The brokers, and how topics are created."""

    bootstrap_servers: str = "127.0.0.1:9092"
    tls: bool = False
    ca_file: Path | None = None
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    partitions: Annotated[Whole, Field(ge=1, le=10_000)] = 6
    replication_factor: Annotated[Whole, Field(ge=1, le=32767)] = 1
    max_event_bytes: Bytes = 8 * _MIB
    transaction_timeout_s: Seconds = 60

    @model_validator(mode="after")
    def _login_is_used(self) -> Self:
        if (self.user or self.password or self.password_file) and self.sasl_mechanism is None:
            raise ValueError("user and password are not used without sasl_mechanism")
        return self


class ElasticsearchSettings(_WithPassword):
    """The cluster; every URL is a node, none is sniffed."""

    urls: Annotated[list[str], Field(min_length=1)] = ["http://127.0.0.1:9200"]
    ca_file: Path | None = None
    api_key: SecretStr | None = None
    api_key_file: Path | None = None
    request_timeout_s: Annotated[Seconds, Field(le=120)] = 60  # longer, and deletes could come back: `gc_deletes`

    @field_validator("urls")
    @classmethod
    def _plain_http(cls, urls: list[str]) -> list[str]:
        for url in urls:
            if not re.fullmatch(r"https?://[^\s/@]+(:\d+)?(/[^\s]*)?", url):
                raise ValueError(
                    "a URL is http(s)://host:port, with no user or password in it (use user, password_file)"
                )
        return urls


def read_key(path: Path, least_bytes: int) -> bytes:
    """The bytes of a file that holds a key; newlines at its end are not a part of it.

    Raises `ConfigError` if it cannot be read, is too short, or is open to other users.
    """
    try:
        with path.open("rb") as file:
            mode, key = os.fstat(file.fileno()).st_mode, file.read().rstrip(b"\r\n")
    except OSError as error:
        what = f"a file that the configuration names cannot be read: {error.strerror}"
        raise ConfigError(what, where=str(path)) from None
    if mode & _OPEN_TO_OTHERS:
        raise ConfigError(
            f"the key file is open to other users: its mode is {stat.S_IMODE(mode):04o}",
            where=str(path),
            hint=f"chmod 600 {path} (640 is well, too, where a group is to read it)",
        )
    if len(key) < least_bytes:
        raise ConfigError(
            f"the key is too short: {len(key)} bytes, and at least {least_bytes} are wanted",
            where=str(path),
            hint="Make one: umask 077; openssl rand -hex 32 > FILE",
        )
    return key


class CdcTableSettings(Section):
    """What is special about the captured tables that a pattern matches.

    Columns in `exclude` are left out of events; those in `mask` and `hash` are replaced. `optional` names those of them
    that a table may lack.
    """

    allow_unsafe: bool = False  # capture it although preflight would refuse it
    exclude: ColumnNames = []
    mask: ColumnNames = []
    hash: ColumnNames = []
    optional: ColumnNames = []

    @model_validator(mode="after")
    def _one_policy_each(self) -> Self:
        seen: dict[str, str] = {}
        for name, columns in (("exclude", self.exclude), ("mask", self.mask), ("hash", self.hash)):
            for column in dict.fromkeys(columns):
                if other := seen.get(folded_column(column)):
                    raise ValueError(f"column {column} is in {name} and in {other}: name it once")
                seen[folded_column(column)] = name
        stray = {column for column in self.optional if folded_column(column) not in seen}
        if stray:
            raise ValueError(f"optional names {', '.join(sorted(stray))}, in none of exclude, mask and hash")
        return self


class CdcSettings(Section):
    """What is captured, from where on, and what happens when something is odd.

    `start`, where there is no stored position: `latest`, `earliest` (the oldest binlog that is kept), a GTID set that
    has been applied already (`gtid:<set>`), or `file:<name>:<position>`.
    """

    tables: list[TablePattern] = []
    exclude: list[TablePattern] = []
    allow_empty: bool = False
    hash_key_file: Path | None = None
    engine: Literal["auto", "native", "portable"] = "auto"
    start: Start = "latest"
    snapshot: Literal["none"] = "none"
    on_lost_position: Literal["stop"] = "stop"
    on_ddl: Literal["stop", "ignore"] = "stop"
    partial_rows: Literal["stop"] = "stop"
    heartbeat_s: Annotated[Seconds, Field(le=30)] = 5  # the health check calls a loop stuck after 60
    max_batch_events: Annotated[Whole, Field(ge=1)] = 50_000
    max_batch_bytes: Bytes = 32 * _MIB
    linger_s: Linger = 0.05
    # Singular: TOML does not let `tables` be a list and the head of sub-tables at once.
    table: dict[TablePattern, CdcTableSettings] = {}

    @model_validator(mode="after")
    def _hashes_have_a_key(self) -> Self:
        if self.hash_key_file is None and any(table.hash for table in self.table.values()):
            raise ValueError("columns are to be hashed, and hash_key_file is not set")
        return self


class SinkSettings(Section):
    """How events become documents. A key is always in the same lane; lanes write at the same time."""

    group: str = ""
    format: Literal["tidemark", "debezium"] = "tidemark"
    topics: list[Annotated[str, Field(min_length=1)]] = []
    lanes: Annotated[Whole, Field(ge=1, le=64)] = 3
    max_batch_bytes: Bytes = 5 * _MIB
    max_batch_events: Annotated[Whole, Field(ge=1)] = 5000
    queue_bytes: Bytes = 32 * _MIB
    linger_s: Linger = 0.1
    group_protocol: Literal["auto", "consumer", "classic"] = "auto"
    gzip: bool = False  # requests to Elasticsearch, where the network is slower than the processor
    refresh_interval: str = "1s"
    shards: Annotated[Whole, Field(ge=1)] = 1
    replicas: Annotated[Whole, Field(ge=0)] = 0
    tables: dict[TableName, SinkTableSettings] = {}

    @model_validator(mode="after")
    def _topics_are_used(self) -> Self:
        if self.topics and self.format == "tidemark":
            raise ValueError('topics is for format = "debezium": tidemark\'s own topics are named in its layouts')
        return self


class AuditSettings(Section):
    """What an audit may cost, and where its reports go.

    `wait_s`: how long it waits for the sink to pass its watermark. `reports_index`: empty for none. `metrics_file`:
    for node_exporter's textfile collector, which reads what ends in `.prom`.
    """

    memory: Bytes = 192 * _MIB
    leaf_keys: Annotated[Whole, Field(ge=1, le=1024)] = 64
    max_requests_per_s: Annotated[float, Field(gt=0)] = 20
    wait_s: Seconds = 60
    max_repairs: Annotated[Whole, Field(ge=0)] = 10_000
    max_repair_share: Annotated[float, Field(gt=0, le=1)] = 0.2
    reports_index: Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9._-]{0,254})?$")] = "tidemark-audits"
    metrics_file: Annotated[Path | None, AfterValidator(_prom)] = None
    pushgateway: Annotated[str, Field(pattern=r"^(https?://[^\s/@?#]+(/[^\s@?#]*)?)?$")] = ""
    pushgateway_user: str = ""
    pushgateway_password_file: Path | None = None


class ServiceSettings(Section):
    """How the long-running processes live. An address is host:port; port 0 picks a free one."""

    cdc_listen: str = "127.0.0.1:9701"
    sink_listen: str = "127.0.0.1:9702"
    audit_listen: str = "127.0.0.1:9703"
    log_format: Literal["auto", "json", "text"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    start_timeout_s: Seconds = 30
    stop_timeout_s: Seconds = 10


class Settings(Section):
    """The whole `tidemark.toml`."""

    source: SourceSettings
    kafka: KafkaSettings = KafkaSettings()
    elasticsearch: ElasticsearchSettings = ElasticsearchSettings()
    cdc: CdcSettings = CdcSettings()
    sink: SinkSettings = SinkSettings()
    audit: AuditSettings = AuditSettings()
    service: ServiceSettings = ServiceSettings()

    @property
    def sink_group(self) -> str:
        return self.sink.group or f"{self.source.name}-sink"
