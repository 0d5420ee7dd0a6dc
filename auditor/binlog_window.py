"""When a binlog file begins."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pymysql
from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.event import FormatDescriptionEvent

from auditor.binlog_rows import READ_TIMEOUT_S, connected, server_id
from auditor.run_context import Context
from ops import mysql


def began(context: Context, file: str) -> datetime:
    """As its first event tells, in whole seconds."""
    settings: dict[str, Any] = {**mysql.connect_args(context.settings.source), "read_timeout": READ_TIMEOUT_S}
    reader = BinLogStreamReader(
        connection_settings=settings, server_id=server_id(context.settings.source.name), log_file=file, log_pos=4,
        resume_stream=True, blocking=False, only_events=[FormatDescriptionEvent], enable_logging=False,
        pymysql_wrapper=connected,
    )  # fmt: skip
    try:
        event = reader.fetchone()
    except (pymysql.Error, OSError) as error:
        raise mysql.translate(error, context.settings.source.where) from error
    finally:
        reader.close()
    return datetime.fromtimestamp(event.timestamp if event else 0, UTC)
