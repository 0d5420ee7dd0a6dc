"""What is left of a batch as lines of a request; an event of which no document can be made goes the way of poison."""

from __future__ import annotations

from collections.abc import Iterable

from ops import metrics
from schemas.errors import DocumentError
from sink.action import Actions
from sink.bulk import Answer
from sink.deadletter import letter_of
from sink.fold import Run
from sink.outcome import NO_ANSWER, Outcome
from sink.part import Part


def encoded(runs: Iterable[Run]) -> tuple[list[Run], list[bytes]]:
    """The runs that have an event to send, and its lines; of the others all events were refused here."""
    makers: dict[Part, Actions] = {}
    waiting, bodies = [], []
    for run in runs:
        while run.left:
            part = run.current.part
            maker = makers.get(part) or makers.setdefault(part, Actions(part))
            try:
                lines = maker.lines(run.current)
            except DocumentError as error:
                _refuse(run, error)
                continue
            waiting.append(run)
            bodies.append(lines)
            break
    return waiting, bodies


def _refuse(run: Run, error: DocumentError) -> None:
    metrics.SINK_ITEMS.labels(run.current.part.alias, Outcome.POISON.value).inc()
    run.refuse(letter_of(run.current, Answer(Outcome.POISON, NO_ANSWER, error.kind, error.what)))
