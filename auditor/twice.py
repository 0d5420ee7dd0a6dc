"""What looks wrong is looked at once more, after everything else: only what is wrong both times is a finding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from auditor.case import Case
from auditor.confirm import Confirm
from auditor.store import Store
from auditor.suspects import Suspect, Suspects


def confirmed(store: Store, confirm: Confirm, chunks: Iterable[Sequence[Suspect]], size: int) -> Iterator[Case]:
    """Every suspect judged, in the end those that seemed wrong, by what is there and in the log by then.

    `size`: suspects looked at together.
    """
    again = Suspects(store, "again")
    wrong: list[str] = []
    for case in confirm.cases(chunks):
        if case.verdict.kind is None:
            yield case
            continue
        wrong.append(case.id)
        if len(wrong) == size:
            again.add(wrong)
            wrong = []
    again.add(wrong)
    if again.seal():
        yield from confirm.cases(again.chunks(size))
