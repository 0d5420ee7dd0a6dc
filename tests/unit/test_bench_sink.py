"""The sink's benchmark: its limit sends what the sink has sent, and the targets are judged against that."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.sink.post import post
from bench.sink.race import SIDES, Race
from bench.sink.record import Recorder
from bench.sink.report import Results
from bench.sink.requests import Request, kept
from bench.sink.watch import Filling
from fake_elastic import FakeCluster

LINES = b'{"index":{"_index":"i","_id":"%d","version":1}}\n{"a":"\\n 1 2 0"}\n'


def body(*numbers: int) -> bytes:
    return b"".join(LINES % number for number in numbers)


def test_what_a_lane_has_sent_is_sent_again_in_its_order(tmp_path: Path) -> None:
    recorder, recorded = Recorder(tmp_path), FakeCluster()

    def lane() -> None:
        recorder.send(recorded.bulk(), body(3, 1), 2)
        recorder.send(recorded.bulk(), body(2), 1, gzip=True)

    thread = threading.Thread(target=lane, name="lane 0")
    thread.start()
    thread.join()
    requests = list(kept(tmp_path / "lane-0"))
    assert requests == [Request(body(3, 1), 2, False), Request(body(2), 1, True)]
    again = FakeCluster()
    post(again.bulk(), requests)
    assert again.bodies == recorded.bodies == [body(3, 1), body(2)]
    with pytest.raises(BenchError):
        post(again.bulk(), requests)  # they are there already


def test_what_was_not_applied_is_not_kept(tmp_path: Path) -> None:
    cluster = FakeCluster()
    cluster.item_rule = lambda _operation, _target: (429, "es_rejected_execution_exception")
    with pytest.raises(BenchError):
        Recorder(tmp_path).send(cluster.bulk(), body(1), 1)
    assert not list(tmp_path.iterdir())


def filling(per_s: int, **cpu_us: float) -> Filling:
    return Filling(documents=per_s, seconds=1, cpu_us=cpu_us)


def test_targets_are_judged_against_the_requests_of_the_sink() -> None:
    speeds = {"limit": (100, 200), "ideal": (200, 400), "sink": (96, 190), "helpers": (30, 80)}
    runs = {side: [filling(per_s, sink=8, elasticsearch=17) for per_s in speeds[side]] for side in SIDES}
    results = Results(races=[Race(pinned=True, runs=runs)])
    assert dict(target[:2] for target in results.targets()) == {
        "pinned: share of the limit": pytest.approx(0.955),
        "pinned: times helpers.parallel_bulk": pytest.approx(2.7875),
        "pinned: CPU us a document (less)": 8,
    }
    assert results.to_json()["ratios"]["pinned"]["ideal"] == {"median": 0.4775, "least": 0.475, "most": 0.48}
    text = results.text()
    assert "0.48 (0.47-0.48)" in text
    assert text.count("| met") == 3
