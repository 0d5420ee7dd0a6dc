"""A figure that was measured several times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The median, and the least and the most that was seen."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        found = list(values)
        return cls(median=median(found), least=min(found), most=max(found))

    def to_json(self) -> dict[str, float]:
        return {"median": _short(self.median), "least": _short(self.least), "most": _short(self.most)}

    def text(self, digits: int = 0) -> str:
        """`123 (110-140)`."""
        return f"{self.median:,.{digits}f} ({self.least:,.{digits}f}-{self.most:,.{digits}f})"


def _short(value: float) -> float:
    return round(value, 4) if abs(value) < 100 else round(value, 1)
