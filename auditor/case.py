"""One suspect, judged."""

from __future__ import annotations

from typing import NamedTuple

from auditor.classify import Verdict
from auditor.doc import Doc
from schemas.report import Differs


class Case(NamedTuple):
    """`doc` None: there is no such document. `differs`: fields that are not as they should be, of a deep audit."""

    id: str
    verdict: Verdict
    doc: Doc | None
    differs: tuple[Differs, ...] = ()
