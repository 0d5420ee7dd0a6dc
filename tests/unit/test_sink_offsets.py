"""The tracker against a model that remembers everything."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sink.offsets import Mark, Offsets


class Model:
    def __init__(self, start: int) -> None:
        self.records: list[tuple[int, int]] = []
        self.done: set[int] = set()
        self.end = start

    @property
    def mark(self) -> Mark:
        lowest = next((offset for offset, _ in self.records if offset not in self.done), self.end)
        below = [seq for offset, seq in self.records if offset < lowest]
        return Mark(lowest, below[-1] if below else 0)


@given(st.data())
def test_the_mark_is_what_the_model_says(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, 5))
    offsets, model = Offsets(Mark(start, 0)), Model(start)
    for _ in range(data.draw(st.integers(0, 30))):
        open_ = [offset for offset, _ in model.records if offset not in model.done]
        step = data.draw(st.sampled_from(["open", "settle", "reach"]))
        if step == "open":
            offset = model.end + data.draw(st.integers(0, 3))  # markers and compacted records leave gaps
            seq = data.draw(st.integers(1, 1000))
            offsets.opened([(offset, seq)])
            model.records.append((offset, seq))
            model.end = offset + 1
        elif step == "settle" and open_:
            some = data.draw(st.lists(st.sampled_from(open_), unique=True))
            offsets.settled(some)
            model.done.update(some)
        elif step == "reach":
            model.end += data.draw(st.integers(0, 2))
            offsets.reached(model.end)
        assert offsets.mark == model.mark
        assert offsets.wait_open(0, 0) == (model.mark.offset == model.end and not any_open(model))


def any_open(model: Model) -> bool:
    return any(offset not in model.done for offset, _ in model.records)


def test_a_position_behind_the_end_changes_nothing() -> None:
    offsets = Offsets(Mark(10, 7))
    offsets.reached(3)
    assert offsets.mark == Mark(10, 7)


def test_settling_twice_leaves_no_trace() -> None:
    offsets = Offsets(Mark(0, 0))
    offsets.opened([(0, 5), (1, 6)])
    offsets.settled([1])
    offsets.settled([1, 0])
    offsets.settled([0])
    assert offsets.mark == Mark(2, 6)
    assert offsets.open == 0
