"""A statement's text without the values in it, for errors and logs."""

from __future__ import annotations

import re

from cdc.source.query import Query
from cdc.source.sql import without_values

_UNDECODED = "\ufffd"
_FIRST_WORD = re.compile(r"[A-Za-z]*")


def redacted(query: Query) -> str:
    """Literals as `?`, comments left out. Of what cannot be told apart for sure, the first word is all there is."""
    if _UNDECODED in query.text:
        return _FIRST_WORD.match(query.text)[0] + " …"  # type: ignore[index]  # it matches nothing, too
    return "".join(without_values(query)).strip()
