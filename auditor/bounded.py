"""A client of Elasticsearch whose answers are cut off before they fill the memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import orjson
from elastic_transport import NodeConfig, Urllib3HttpNode
from elasticsearch import Elasticsearch

from auditor.run_context import Context
from ops import elastic

TOO_LARGE = "answer_too_large"
_LEAST_BYTES = 32 << 20
_PIECE_BYTES = 1 << 16


def client(context: Context) -> Elasticsearch:
    """An answer that is over 32 MiB, or over two events, comes as an error of type `TOO_LARGE` with status 413."""
    settings = context.settings
    most_bytes = max(_LEAST_BYTES, 2 * settings.kafka.max_event_bytes)
    return elastic.client(settings.elasticsearch, node_class=_node(most_bytes))


def _node(most_bytes: int) -> type[Urllib3HttpNode]:
    class Bounded(Urllib3HttpNode):
        def __init__(self, config: NodeConfig) -> None:
            super().__init__(config)
            self.pool: Any = _Pool(self.pool, most_bytes)

    return Bounded


class _Pool:
    """urllib3's, as far as the node uses it: that one would read answers of any size into memory."""

    def __init__(self, pool: Any, most_bytes: int) -> None:
        self._pool = pool
        self._most_bytes = most_bytes

    def urlopen(self, *arguments: Any, **options: Any) -> Any:
        answer = self._pool.urlopen(*arguments, preload_content=False, **options)
        try:
            data = self._read(answer)
        except BaseException:
            answer.close()
            raise
        finally:
            answer.release_conn()  # also of one that is closed: it is opened again
        if data is None:
            error = {"type": TOO_LARGE, "reason": f"it is over {self._most_bytes >> 20} MiB"}
            return SimpleNamespace(
                status=413, headers=answer.headers, data=orjson.dumps({"error": error, "status": 413})
            )
        return SimpleNamespace(status=answer.status, headers=answer.headers, data=data)

    def _read(self, answer: Any) -> bytes | None:
        """None if it is too large; its connection is of no use then, since the rest is still to come."""
        pieces: list[bytes] = []
        size = 0
        for piece in answer.stream(_PIECE_BYTES):
            pieces.append(piece)
            size += len(piece)
            if size > self._most_bytes:
                answer.close()
                return None
        return b"".join(pieces)

    def close(self) -> None:
        self._pool.close()
