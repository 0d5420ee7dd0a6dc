"""Which keys may have come more than once: what came once needs no folding, and in a large table that is most."""

from __future__ import annotations

from typing import Any

from auditor.columns import Columns
from auditor.store import Store
from schemas.extension import EXTENSION

#: Remembers keys in two bytes each; None where there is no extension.
_SEEN: Any = getattr(EXTENSION, "Seen", None)
_FEW = 10_000
_SHARE = 8  # if more than this part of all rows is of such keys, everything is folded


class Repeated:
    """The table `repeated`. Every key of more than one row is in it, and now and then one of a single row."""

    def __init__(self, store: Store, rows: int) -> None:
        """`rows`: how many there may be; 0 if it is not worth while."""
        self._store = store
        self._seen = _SEEN(rows) if rows and _SEEN is not None else None
        self._rows = 0
        self._count = 0
        store.run("CREATE TABLE repeated (key BLOB)")

    @property
    def told(self) -> bool:
        """False if it is not known which keys they are."""
        return self._seen is not None

    @property
    def any(self) -> bool:
        """True if the table is not empty."""
        return self._count > 0

    def note(self, columns: Columns) -> None:
        """Called with all rows."""
        if self._seen is None:
            return
        # Of rows that are not packed it is not looked up: any other row may be of their keys.
        again = [*columns.keys]
        for some in columns.packed:
            again += self._seen.again(*some.buffers[:2])
            self._rows += some.rows
        self._rows += len(columns.keys)
        self._count += len(again)
        if self._count > _FEW + self._rows // _SHARE:
            self.forget()
        else:
            self._store.insert("repeated", ("BLOB",), [again])

    def forget(self) -> None:
        """From here on it is not known."""
        self._seen = None
        self._store.run("DELETE FROM repeated")
