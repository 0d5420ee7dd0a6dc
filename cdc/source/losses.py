"""What events could not carry as it was: counted per table while a batch is gathered."""

from __future__ import annotations

from cdc.source.seam import Loss, LossKind


class Losses:
    """The losses of the batch that is being gathered."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[tuple[str, LossKind], tuple[int, set[str]]] = {}

    def add(self, kind: LossKind, table: str, columns: tuple[str, ...]) -> None:
        """One event's columns."""
        if not columns:
            return
        count, seen = self._found.get((table, kind), (0, set()))
        self._found[table, kind] = (count + len(columns), seen | set(columns))

    def take(self) -> tuple[Loss, ...]:
        """What was added since the last time."""
        taken = tuple(
            Loss(kind=kind, table=table, columns=tuple(sorted(columns)), count=count)
            for (table, kind), (count, columns) in self._found.items()
        )
        self._found.clear()
        return taken
