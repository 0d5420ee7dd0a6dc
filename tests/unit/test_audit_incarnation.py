"""One life of an index is told from another of the same name."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

from auditor.incarnation import incarnation
from auditor.index import Index
from schemas.errors import RefusedError

INDEX = Index(alias="a", name="a.1", ours=True, uuid="U", shards=2)


def told(*histories: str, uuid: str = "U") -> str:
    shards = {
        str(number): [
            {"routing": {"primary": False}, "commit": {"user_data": {"history_uuid": "of a copy"}}},
            {"routing": {"primary": True}, "commit": {"user_data": {"history_uuid": history}}},
        ]
        for number, history in enumerate(histories)
    }
    return asked(Mock(return_value={"indices": {"a.1": {"uuid": uuid, "shards": shards}}}))


def asked(send: Mock) -> str:
    requests: Any = Mock(send=send)
    return incarnation(requests, Mock(), INDEX)


def test_a_restored_shard_is_another_life() -> None:
    assert told("h", "i") == told("h", "i") != ""
    assert told("h", "i") != told("h", "j")


def test_what_is_not_told_in_full_is_not_known() -> None:
    assert told("h") == told("h", "i", uuid="V") == asked(Mock(return_value={})) == ""
    assert asked(Mock(side_effect=RefusedError("403"))) == ""
