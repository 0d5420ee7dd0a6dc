"""Of which tables dead letters can be asked for: a name that nothing is called would look like good news."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from ops.catalog import Catalog
from ops.settings import Settings
from schemas.errors import UsageError
from sink.letterbox import Letterbox, Wanted


def refuse_unknown(settings: Settings, client_id: str, patterns: Sequence[str]) -> None:
    """Raise `UsageError` for a pattern that matches no captured table, and the table of no standing letter."""
    if not patterns:
        return
    with Catalog(settings, client_id) as catalog:
        catalog.refresh()
        known = sorted(catalog.latest)
    left = [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in known)]
    for pattern in left:
        with Letterbox(settings, client_id) as letterbox:
            if next(letterbox.standing(Wanted(tables=(pattern,))), None) is None:
                raise UsageError(
                    f"`{pattern}` is no captured table, and no dead letter is of one",
                    hint=f"Captured: {', '.join(known) or 'none yet'}.",
                )
