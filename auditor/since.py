"""Where an audit begins: `--since 2h`, a time, `clean` (the end of the last clean audit), or offsets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ops.duration import moment_ms
from schemas.errors import UsageError

CLEAN = "clean"
_OFFSET = re.compile(r"\s*(\d{1,7}):(\d{1,18})\s*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """As people wrote it. `offsets`: partition -> offset."""

    text: str
    offsets: Mapping[int, int] | None = None

    @property
    def clean(self) -> bool:
        """True for where the last clean audit ended."""
        return self.text == CLEAN

    @property
    def ts_ms(self) -> int:
        """A time of publishing; two hours ago is another one in every round of a service."""
        return moment_ms(self.text)


def since(text: str) -> Since:
    """Raises `UsageError`."""
    if text.strip() == CLEAN:
        return Since(text=CLEAN)
    if ":" in text and _OFFSET.fullmatch(text.split(",", maxsplit=1)[0]):
        return Since(text=text.strip(), offsets=_offsets(text))
    moment_ms(text)
    return Since(text=text.strip())


def _offsets(text: str) -> dict[int, int]:
    found = [_OFFSET.fullmatch(piece) for piece in text.split(",")]
    made = {int(one[1]): int(one[2]) for one in found if one}
    if len(made) < len(found):
        raise UsageError(f"`{text}` names no offsets", hint="Write 0:1200,1:900 (partition:offset).")
    return made
