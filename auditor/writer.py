"""Writes a repair's changes in bulk, and says of each how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from elasticsearch import Elasticsearch

from auditor.change import Change, current_version
from auditor.requests import Requests
from auditor.run_context import Context
from schemas.errors import UnreachableError

_CONFLICT = 409
_BUSY = (429, 502, 503, 504)
_ROUNDS = 8
_FIRST_WAIT_S = 0.2


class Written(NamedTuple):
    """`change` as it was sent last; `reason` why it was not applied, empty if it was."""

    change: Change
    reason: str


class Writer:
    """One index."""

    def __init__(self, context: Context, client: Elasticsearch, requests: Requests, index: str) -> None:
        self._context = context
        self._client = client
        self._requests = requests
        self._index = index

    def write(self, changes: Sequence[Change]) -> list[Written]:
        """Write until each is applied or cannot be: a conflict is tried again with the revision that wins."""
        done = [_impossible(change) for change in changes if not change.possible]
        left = [change for change in changes if change.possible]
        for number in range(_ROUNDS):
            if not left:
                return done
            if number:
                self._context.stop.wait(_FIRST_WAIT_S * 2 ** (number - 1) if number > 1 else 0)
            again: list[Change] = []
            for change, result in zip(left, self._send(left), strict=True):
                ended = _ended(change, result)
                if isinstance(ended, Written):
                    done.append(ended)
                else:
                    again.append(ended)
            left = again
        raise UnreachableError(f"Elasticsearch does not take {len(left)} repairs", where=self._index)

    def _send(self, changes: Sequence[Change]) -> list[dict[str, Any]]:
        body = b"".join(change.lines(self._index) for change in changes)
        answer = self._requests.send("repair", lambda: self._client.bulk(operations=cast("Any", body)))
        results = [next(iter(item.values())) for item in answer["items"]]
        if len(results) != len(changes):
            raise UnreachableError(f"{len(results)} answers for {len(changes)} repairs", where=self._index)
        return results


def _ended(change: Change, result: dict[str, Any]) -> Written | Change:
    """How it ended, or what to send next."""
    status, error = result["status"], result.get("error")
    if status in _BUSY:
        return change
    if error is None:  # a delete of what is not there says 404, has no error, and leaves its version behind
        return Written(change, "")
    reason = f"{error.get('type')}: {error.get('reason')}"
    found = current_version(str(error.get("reason"))) if status == _CONFLICT else None
    if found is None or change.seq is None:
        return Written(change, reason)
    higher = change.over(found)
    return higher if higher.possible else _impossible(higher)


def _impossible(change: Change) -> Written:
    version = (change.version or 0) - 1
    return Written(change, f"no revision of its event wins over version {version}, which somebody wrote by hand")
