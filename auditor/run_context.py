"""What every part of an audit shares: settings, the wish to stop, and the sign of life."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from auditor.since import Since
from ops.settings import Settings
from ops.stop import Stop
from schemas.errors import ExitCode, InconclusiveError


class StoppedError(InconclusiveError):
    """The run was asked to stop before it was finished; what it had found is not reported."""

    exit_code = ExitCode.INTERRUPTED


def _nothing() -> None:
    return


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One run. `partitions`: only these of each topic; `deep`: documents are read and compared.

    `since`: where the windows begin, None for all that is retained.

    `resumable`: what is read is put aside, for the next audit to go on from; only for who holds the pipeline's lock.

    `beat` tells a service's health that the audit moves on.
    """

    settings: Settings
    partitions: frozenset[int] | None = None
    deep: bool = False
    since: Since | None = None
    resumable: bool = True
    stop: Stop = field(default_factory=Stop)
    beat: Callable[[], None] = _nothing

    @property
    def client_id(self) -> str:
        return f"{self.settings.source.name}-audit"

    def pulse(self) -> None:
        """Called between any two pieces of work. Raises `StoppedError` if the run was asked to stop."""
        self.beat()
        if self.stop.requested:
            raise StoppedError("the audit was asked to stop before it was finished")
