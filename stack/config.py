"""What others need to use the stack: a `tidemark.toml`, and the variables of the tests."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stack.status import StackStatus

_TOML = """\
# For the servers of `tidemark stack`. All other settings have their defaults: `tidemark config show`.
[source]
name = {name}
host = {mysql_host}
port = {mysql_port}
user = {mysql_user}
password_file = {mysql_password_file}
tls = "off"  # the server listens on this machine's loopback interface only

[kafka]
bootstrap_servers = {kafka}

[elasticsearch]
urls = [{elasticsearch}]

[cdc]
tables = [{tables}]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where three servers are, however they were started."""

    mysql_host: str
    mysql_port: int
    mysql_user: str
    mysql_password_file: Path
    kafka: str
    elasticsearch: str


def addresses(status: StackStatus) -> Addresses:
    """Those of local processes, with the user that captures."""
    return Addresses(
        mysql_host=status.mysql.host,
        mysql_port=status.mysql.port,
        mysql_user=status.mysql.capture.user,
        mysql_password_file=status.mysql.capture.password_file,
        kafka=status.kafka.address,
        elasticsearch=status.elasticsearch_url,
    )


def render_toml(where: Addresses, *, name: str, tables: Sequence[str]) -> str:
    """A complete `tidemark.toml`."""
    return _TOML.format(
        name=_quoted(name),
        mysql_host=_quoted(where.mysql_host),
        mysql_port=where.mysql_port,
        mysql_user=_quoted(where.mysql_user),
        mysql_password_file=_quoted(str(where.mysql_password_file)),
        kafka=_quoted(where.kafka),
        elasticsearch=_quoted(where.elasticsearch),
        tables=", ".join(map(_quoted, tables)),
    )


def render_shell(variables: dict[str, str]) -> str:
    """`export NAME=value` lines for `eval`."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def _quoted(text: str) -> str:
    # JSON's strings are TOML's basic strings, but for DEL, which TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
