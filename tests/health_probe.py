"""What a service says over HTTP, as a supervisor would ask."""

from __future__ import annotations

import http.client
import json
from typing import Any


def get(listen: str, path: str, timeout_s: float = 30) -> tuple[int, str]:
    """Status and body; (0, why) if nobody answers in time."""
    connection = http.client.HTTPConnection(listen, timeout=timeout_s)
    try:
        connection.request("GET", path, headers={"Host": "localhost"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error)
    finally:
        connection.close()


def is_ready(listen: str) -> bool:
    return get(listen, "/readyz")[0] == http.client.OK


def details(listen: str) -> dict[str, Any]:
    """`details` of `/status`; empty if nobody answers."""
    status, body = get(listen, "/status")
    found: dict[str, Any] = json.loads(body)["details"] if status == http.client.OK else {}
    return found
