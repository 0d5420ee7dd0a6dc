"""Real MySQL, Kafka and Elasticsearch as local processes, for the demo, the tests and the benchmarks."""

from stack.elasticsearch import ElasticsearchServer
from stack.kafka import KafkaServer
from stack.mysql import MysqlServer
from stack.stack import Stack
from stack.status import Account, ServerState, ServerStatus, StackStatus

__all__ = [
    "Account",
    "ElasticsearchServer",
    "KafkaServer",
    "MysqlServer",
    "ServerState",
    "ServerStatus",
    "Stack",
    "StackStatus",
]
