"""The configuration that the demonstration's processes run with."""

from __future__ import annotations

from pathlib import Path

from stack import StackStatus
from stack.ports import free_port

SOURCE = "shop"


def write_config(folder: Path, status: StackStatus) -> Path:
    """Write `tidemark.toml`, with free ports for the services; the file's path."""
    cdc_port = free_port()
    sink_port = free_port((cdc_port,))
    audit_port = free_port((cdc_port, sink_port))
    config = folder / "tidemark.toml"
    config.write_text(
        f"""\
[source]
name = "{SOURCE}"
host = "{status.mysql.host}"
port = {status.mysql.port}
user = "{status.mysql.capture_user}"
password_file = "{status.mysql.capture.password_file}"

[kafka]
bootstrap_servers = "{status.kafka.address}"

[elasticsearch]
urls = ["{status.elasticsearch_url}"]

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
