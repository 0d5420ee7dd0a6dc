"""Pages by bytes: what is asked for follows what came, and what is too large is cut off, not taken in."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from elastic_transport import ObjectApiResponse
from elasticsearch import ApiError, Elasticsearch

from auditor import bounded
from auditor.page import Page, TooLargeError, in_parts
from auditor.realtime import Realtime
from auditor.requests import Requests
from auditor.run_context import Context
from ops.settings import Settings
from schemas.shape import Rules, Shape


def test_a_page_follows_the_bytes_of_the_last() -> None:
    page = Page(first=10, most=1000, size_bytes=1 << 20)
    seen = []
    for weight in (100, 100, 100, 100, 10_000, 1 << 20, 2 << 20, 100):
        page.took(page.rows, page.rows * weight)
        seen.append(page.rows)
    assert seen == [40, 160, 640, 1000, 104, 1, 1, 4]
    page.halve()
    page.took(0, 0)
    assert page.rows == 8


def test_what_is_too_large_is_asked_for_in_halves() -> None:
    asked = []

    def work(items: Sequence[int]) -> Iterator[int]:
        asked.append(list(items))
        if sum(items) > 10:
            raise TooLargeError("too large")
        yield from items

    assert list(in_parts([1, 2, 3, 4, 5, 6], work)) == [1, 2, 3, 4, 5, 6]
    assert asked == [[1, 2, 3, 4, 5, 6], [1, 2, 3], [4, 5, 6], [4], [5, 6], [5], [6]]
    with pytest.raises(TooLargeError):
        list(in_parts([1, 11], work))


class _Handler(BaseHTTPRequestHandler):
    """Answers `/<bytes>` with JSON of that size: in chunks, as Elasticsearch sends what is large."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        left = int(self.path.strip("/")) - 2
        self.send_response(200)
        for name, value in (("content-type", "application/json"), ("x-elastic-product", "Elasticsearch"),
                            ("transfer-encoding", "chunked")):  # fmt: skip
            self.send_header(name, value)
        self.end_headers()
        try:
            self._chunk(b'"')
            while left:
                some = min(left, 1 << 16)
                self._chunk(b"x" * some)
                left -= some
            self._chunk(b'"')
            self._chunk(b"")
        except OSError:  # cut off
            self.close_connection = True

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def client() -> Iterator[Elasticsearch]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    made = Elasticsearch(
        f"http://127.0.0.1:{server.server_port}", node_class=bounded._node(1 << 20), max_retries=0, request_timeout=20
    )
    try:
        yield made
    finally:
        made.close()
        server.shutdown()
        thread.join(10)
        server.server_close()


def test_an_answer_ends_at_so_many_bytes(client: Elasticsearch) -> None:
    def size(asked: int) -> int:
        return len(client.perform_request("GET", f"/{asked}", headers={"accept": "application/json"}).body) + 2

    assert [size(asked) for asked in (2, 1000, 1 << 20)] == [2, 1000, 1 << 20]
    for _ in range(25):  # more than the pool has connections
        with pytest.raises(ApiError) as error:
            size(40 << 20)
        assert (error.value.error, error.value.meta.status) == (bounded.TOO_LARGE, 413)
    assert size(100) == 100


class Copies:
    """A cluster in which every document is there 60 times; it gives as many hits as it is asked for."""

    def __init__(self) -> None:
        self.indices = self
        self.asked: list[int] = []

    def refresh(self, **_: object) -> Any:
        return _answer({"_shards": {"failed": 0}})

    def search(self, *, query: dict[str, Any], size: int, **_: object) -> Any:
        ids = query["ids"]["values"]
        self.asked.append(len(ids))
        hits = [
            {"_id": id_, "_version": 1, "_seq_no": 1, "_primary_term": 1, "_routing": str(n), "_source": {}}
            for id_ in ids
            for n in range(60)
        ]
        shards = {"failed": 0, "successful": 1, "total": 1, "skipped": 0}
        return _answer({"timed_out": False, "_shards": shards, "hits": {"hits": hits[:size]}})


def _answer(body: dict[str, Any]) -> ObjectApiResponse[Any]:
    meta: Any = SimpleNamespace(status=200, headers={})
    return ObjectApiResponse(body, meta)


def test_many_copies_are_asked_for_in_parts() -> None:
    copies: Any = Copies()
    settings = Settings.model_validate({"source": {"name": "x", "user": "x", "password": "x"}})
    context = Context(settings=settings)
    realtime = Realtime(copies, Requests(context), "i", Shape(Rules(routing=("id",)), ("id",)))
    found = dict(in_parts(list("abcd"), lambda ids: realtime.get(ids).items()))
    assert (set(found), copies.asked) == (set("abcd"), [4, 2, 1, 1, 2, 1, 1])
