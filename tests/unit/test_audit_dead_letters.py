"""Dead letters are kept up to date letter by letter, as if all of them were looked at each time."""

from __future__ import annotations

import random
from typing import Any

from auditor.dead_letters import DeadLetters


def test_letters_come_and_are_dropped() -> None:
    nowhere: Any = None
    letters = DeadLetters(nowhere, "x.s.t", "x.s.t")
    there: dict[bytes, dict[int, str]] = {}
    chance = random.Random(7)
    for seq in range(500):
        number = chance.randrange(20)
        key, id_ = str(number).encode(), str(number)
        if chance.random() < 0.3:
            upto = chance.choice([None, seq - 1, max(0, seq - 60)])
            letters._drop(key, upto)
            there[key] = {other: one for other, one in there.get(key, {}).items() if upto is not None and other > upto}
        else:
            letters._add(key, seq, id_)
            there.setdefault(key, {})[seq] = id_
        assert letters._seqs == {one for some in there.values() for one in some}
        assert letters.newest == {some[max(some)]: max(some) for some in there.values() if some}
