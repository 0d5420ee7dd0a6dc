"""The configuration that the demonstration's processes run with."""

from __future__ import annotations

from pathlib import Path

from stack import StackStatus
from stack.ports import free_ports

SOURCE = "shop"


def write_config(folder: Path, status: StackStatus) -> Path:
    """Write `tidemark.toml` and the password beside it, readable by the owner only; the file's path."""
    password = folder / "mysql.password"
    password.touch(mode=0o600)
    password.write_text(status.mysql.capture_password, encoding="utf-8")
    cdc_port, sink_port, audit_port = free_ports(3)
    config = folder / "tidemark.toml"
    config.write_text(
        f"""\
[source]
name = "{SOURCE}"
host = "{status.mysql.host}"
port = {status.mysql.port}
user = "{status.mysql.capture_user}"
password_file = "{password}"

[kafka]
bootstrap_servers = "{status.kafka.host}:{status.kafka.port}"

[elasticsearch]
urls = ["http://{status.elasticsearch.host}:{status.elasticsearch.port}"]

[cdc]
tables = ["shop.*"]

[service]
cdc_listen = "127.0.0.1:{cdc_port}"
sink_listen = "127.0.0.1:{sink_port}"
audit_listen = "127.0.0.1:{audit_port}"
""",
        encoding="utf-8",
    )
    return config
