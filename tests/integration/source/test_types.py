"""Every type: the event's value equals what SELECT shows for the row. The oracle is MySQL, not our decoders."""

from __future__ import annotations

import pytest

from schemas.event import ChangeEvent
from source_reader import Seen, SourceReader
from type_cases import CASES, events, insert, shown

pytestmark = pytest.mark.stack


@pytest.mark.parametrize("case", CASES)
def test_the_event_holds_what_select_shows(reader: SourceReader, case: str) -> None:
    definition, oracle, values = CASES[case]
    insert(reader, definition, values)
    expected = shown(reader, oracle)
    assert len(expected) == len(values) + 1
    assert events(reader.read(), oracle) == expected


def _last(seen: Seen) -> ChangeEvent:
    return seen.events[-1]  # type: ignore[return-value]
