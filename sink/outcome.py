"""What an answer of Elasticsearch means: one small table, decided from status and error type, never from a text."""

from __future__ import annotations

from enum import StrEnum

from ops.elastic import TRANSIENT


class Outcome(StrEnum):
    """How one item, or a whole request, ended."""

    APPLIED = "applied"
    STALE = "stale"  # a newer version is there
    RETRY = "retry"  # wait and send again
    TOO_LARGE = "too_large"  # send less at once
    POISON = "poison"  # this document will never be accepted
    REFUSED = "refused"  # no right to write
    MISSING = "missing"  # no index to write to
    UNKNOWN = "unknown"  # nobody has decided what it means: stop


NO_ANSWER = 0  # the status of a request that got none: connection lost, timed out, answer cut

BLOCKED = "cluster_block_exception"  # with 403, or with 429 for a disk at its flood stage

_BUSY = {408, 429, 502, 503, 504}

_POISON = {
    "document_parsing_exception",
    "illegal_argument_exception",
    "mapper_exception",
    "mapper_parsing_exception",
    "max_bytes_length_exceeded_exception",
    "number_format_exception",
    "parse_exception",
    "parsing_exception",
    "strict_dynamic_mapping_exception",
    "x_content_e_o_f_exception",
    "x_content_parse_exception",
}


def of_item(status: int, error_type: str) -> Outcome:
    """What became of one item of an answered bulk request. `error_type` is empty where there is no error."""
    if not error_type:
        # A delete of what is not there: the version is remembered all the same.
        return Outcome.APPLIED if status in (200, 201, 404) else Outcome.UNKNOWN
    if status == 409:
        return Outcome.STALE if error_type == "version_conflict_engine_exception" else Outcome.UNKNOWN
    if status == 400 and error_type in _POISON:
        return Outcome.POISON
    return _common(status, error_type)


def of_request(status: int, error_type: str) -> Outcome:
    """What a failed request means for everything in it; never poison, since it names no document."""
    if status == NO_ANSWER:
        return Outcome.RETRY
    if status == 413:
        return Outcome.TOO_LARGE
    return _common(status, error_type)


def _common(status: int, error_type: str) -> Outcome:
    if error_type in ("index_not_found_exception", "index_closed_exception"):
        return Outcome.MISSING
    if status in _BUSY or error_type in TRANSIENT or error_type == BLOCKED:
        return Outcome.RETRY
    return Outcome.REFUSED if status in (401, 403) else Outcome.UNKNOWN
