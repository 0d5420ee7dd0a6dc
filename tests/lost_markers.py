"""A producer that leaves transactions hanging: it writes to partitions that Kafka's coordinator is not told of.

So it is after a crash that made the coordinator forget them. A broker takes such records only without
`transaction.partition.verification.enable`, and only of the transaction's producer id and epoch.
"""

from __future__ import annotations

import itertools
import socket
import struct
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Self

from kafka.protocol.producer import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    EndTxnRequest,
    EndTxnResponse,
    InitProducerIdRequest,
    InitProducerIdResponse,
    ProduceRequest,
    ProduceResponse,
)
from kafka.record.memory_records import MemoryRecordsBuilder

from runner import until

#: Key, value, headers.
Message = tuple[bytes, bytes | None, list[tuple[str, bytes]]]
_INIT, _ADD, _PRODUCE, _END = 3, 3, 9, 3  # the versions of the requests
_NOT_YET = (3, 6, 48)  # the topic is new; the broker has not heard that it need not verify
_BUSY = (14, 15, 16, 51)  # the coordinator loads, or writes the last transaction's markers


class LostMarkers:
    """Speaks the wire protocol, to a cluster of one broker. Fences whoever had the transactional id."""

    def __init__(self, port: int, transactional_id: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._name = transactional_id
        self._numbers = itertools.count(1)
        self._sequences: dict[tuple[str, int], int] = {}
        self._id = self._epoch = -1
        until(self._begun, "a producer id", 60)

    def _begun(self) -> bool:
        request = InitProducerIdRequest(
            version=_INIT, transactional_id=self._name, transaction_timeout_ms=60_000, producer_id=-1, producer_epoch=-1
        )
        answer = self._ask(request, InitProducerIdResponse)
        if answer.error_code in _BUSY:
            return False
        assert answer.error_code == 0, answer
        self._id, self._epoch = answer.producer_id, answer.producer_epoch
        return True

    def add(self, topic: str, partition: int) -> None:
        """Tell the coordinator of a partition, as a producer does before it writes there."""
        part = AddPartitionsToTxnRequest.AddPartitionsToTxnTopic(name=topic, partitions=[partition])

        def added() -> bool:
            request = AddPartitionsToTxnRequest(
                version=_ADD, v3_and_below_transactional_id=self._name, v3_and_below_producer_id=self._id,
                v3_and_below_producer_epoch=self._epoch, v3_and_below_topics=[part],
            )  # fmt: skip
            answer = self._ask(request, AddPartitionsToTxnResponse)
            code = answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
            assert code == 0 or code in _BUSY, answer
            return bool(code == 0)

        until(added, "the partition is in the transaction", 60)

    def write(self, topic: str, partition: int, messages: Iterable[Message]) -> None:
        """Records of the transaction. Where the partition was not added, they hang."""
        first = self._sequences.get((topic, partition), 0)
        builder = MemoryRecordsBuilder(
            2, 0, 1 << 24, transactional=True, producer_id=self._id, producer_epoch=self._epoch, base_sequence=first
        )
        found = list(messages)
        for key, value, headers in found:
            builder.append(int(time.time() * 1000), key, value, headers)
        builder.close()
        self._sequences[topic, partition] = first + len(found)
        data = ProduceRequest.TopicProduceData
        records = [data.PartitionProduceData(index=partition, records=builder.buffer())]
        request = ProduceRequest(
            version=_PRODUCE, transactional_id=self._name, acks=-1, timeout_ms=30_000,
            topic_data=[data(name=topic, partition_data=records)],
        )  # fmt: skip

        def written() -> bool:
            answer = self._ask(request, ProduceResponse)
            code = answer.responses[0].partition_responses[0].error_code
            assert code == 0 or code in _NOT_YET, answer
            return bool(code == 0)

        until(written, "the records are taken", 60)

    def end(self, *, committed: bool) -> None:
        """Kafka writes its markers to the partitions that it was told of."""
        request = EndTxnRequest(
            version=_END, transactional_id=self._name, producer_id=self._id, producer_epoch=self._epoch,
            committed=committed,
        )  # fmt: skip
        answer = self._ask(request, EndTxnResponse)
        assert answer.error_code == 0, answer

    def _ask(self, request: Any, answers: Any) -> Any:
        request.with_header(correlation_id=next(self._numbers), client_id="lost-markers")
        body = request.encode(header=True)
        self._socket.sendall(struct.pack(">i", len(body)) + body)
        (length,) = struct.unpack(">i", self._exactly(4))
        return answers.decode(self._exactly(length), version=request.API_VERSION, header=True)

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            chunk = self._socket.recv(count - len(found))
            assert chunk, "the broker closed the connection"
            found += chunk
        return found

    def close(self) -> None:
        with suppress(OSError):
            self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
