"""The index behind a table's alias, found once, and fit to be audited."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from elasticsearch import Elasticsearch

from auditor.requests import Requests
from schemas.document import CDC_MAPPING
from schemas.errors import InconclusiveError, UnreachableError, UnsafeError

_NOT_FOUND = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """`name` is the index itself. `ours`: it carries tidemark's `_meta`, so it may be written to.

    `uuid`: another one if an index of the same name is made; `shards`: how many primary ones it has.
    """

    alias: str
    name: str
    ours: bool
    uuid: str = ""
    shards: int = 0


def find(requests: Requests, client: Elasticsearch, alias: str) -> Index | None:
    """None if nothing has that name. Raises `InconclusiveError` for an index that cannot be audited."""
    found = _get(requests, client, alias)
    if found is None:
        return None
    if len(found) != 1:
        raise InconclusiveError(
            f"{len(found)} indices are behind the alias {alias}: {', '.join(sorted(found))}",
            hint="Leave the alias on one of them.",
        )
    [(name, about)] = found.items()
    mappings = about["mappings"]
    _check_mapping(mappings, name)
    settings = about["settings"]["index"]
    return Index(
        alias=alias,
        name=name,
        ours="tidemark" in mappings.get("_meta", {}),
        uuid=settings["uuid"],
        shards=int(settings["number_of_shards"]),
    )


def _get(requests: Requests, client: Elasticsearch, alias: str) -> dict[str, Any] | None:
    """A node that has come up and found no master says of every index that it is not there (seen with 9.5).

    What a name means it does not say before it has found one: then it is asked once more.
    """
    # With ignore_unavailable an index that we may not see would be one that is not there.
    unseen = client.options(ignore_status=_NOT_FOUND)
    what = f"looking for {alias}"
    for _ in range(2):
        found: dict[str, Any] = requests.send(what, lambda: unseen.indices.get(index=alias, expand_wildcards="all"))
        if found.get("status") != _NOT_FOUND:
            return found
        resolved = requests.send(what, lambda: unseen.indices.resolve_index(name=alias))
        if resolved.get("status") == _NOT_FOUND or not any(resolved.values()):
            return None
    raise UnreachableError(f"{alias} is there, and is not", where=alias, hint="See whether its cluster has a master.")


def _check_mapping(mappings: dict[str, Any], name: str) -> None:
    """A `_cdc` that Elasticsearch guessed sorts, cuts and counts keys in another way than the topic does."""
    fields = mappings.get("properties", {}).get("_cdc", {}).get("properties", {})
    for field, wanted in CDC_MAPPING["properties"].items():
        if field in ("rev", "ts_ms"):
            continue  # nothing is asked of them
        if fields.get(field) != wanted:
            raise InconclusiveError(
                f"field _cdc.{field} of index {name} is mapped as {fields.get(field)}, not as {wanted}",
                hint="The index was not made by tidemark's sink: rebuild it.",
            )


def must_still_be(requests: Requests, client: Elasticsearch, alias: str, index: Index | None) -> None:
    """Raise `InconclusiveError` if the alias leads elsewhere by now: what was found in an index is about that one."""
    now = find(requests, client, alias)
    before_name, now_name = (one.name if one else "nothing" for one in (index, now))
    if before_name != now_name:
        raise InconclusiveError(
            f"alias {alias} led to {before_name} when the audit began, and leads to {now_name} now",
            hint="Run the audit again.",
        )
    if index and now and index.uuid != now.uuid:
        raise InconclusiveError(f"index {now.name} was made anew during the audit", hint="Run the audit again.")


def must_be_ours(index: Index) -> None:
    """Raise `UnsafeError` for an index that tidemark did not make."""
    if not index.ours:
        raise UnsafeError(f"index {index.name} has no _meta.tidemark, so nothing is written to it", where=index.alias)
