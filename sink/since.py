"""What has come in a partition since its dead letters were written: their keys again, or a barrier."""

from __future__ import annotations

import math
from collections.abc import Sequence

from confluent_kafka import Message

from ops.control import ControlReader
from schemas.key import BARRIER_KEY
from schemas.record import Kind
from sink.case import Case
from sink.part import Item, Part, item_in

SILENCE_S = 60


class Since:
    """Marks the cases of one partition while it reads on. `reader` begins at or before the first of them."""

    def __init__(self, reader: ControlReader, part: Part, cases: Sequence[Case]) -> None:
        self._reader = reader
        self._part = part
        self._cases = {case.key: case for case in cases}

    def read_on(self) -> None:
        """Read everything that is committed by now. Raises `UnreachableError`, `FormatError`."""
        for message in self._reader.to_end(timeout_s=math.inf, silence_s=SILENCE_S):
            key = message.key() or b""
            if key in (BARRIER_KEY, b""):
                self._barrier(message)
            elif key in self._cases:
                self._again(self._cases[key], message)

    def _again(self, case: Case, message: Message) -> None:
        item = item_in(self._part, message)
        if item.seq == case.seq:
            case.there = case.there or item.offset == case.offset
        elif item.seq > max(case.seq, case.overtaken_by):
            case.overtaken_by = item.seq
            case.erased_below = 0 if self._leaves_document(item) else item.seq

    def _leaves_document(self, item: Item) -> bool:
        """As the sink decides it: a filter or a transform deletes as well."""
        shape = self._part.shape
        if item.kind is Kind.DELETE or item.value is None or not shape.selective:
            return item.kind is not Kind.DELETE
        event = shape.read(item.kafka_key, item.value, None, item.offset).event
        return event is not None and shape.exists(event)

    def _barrier(self, message: Message) -> None:
        item = item_in(self._part, message)
        for case in self._cases.values():
            if item.below > case.seq and item.seq > case.overtaken_by:
                case.overtaken_by, case.erased_below = item.seq, item.below
