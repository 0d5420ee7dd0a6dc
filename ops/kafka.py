"""Kafka clients from the settings, nothing else. Raw client properties are not passed through."""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._metadata import TopicMetadata

from ops.kafka_complaints import Complaints
from ops.settings import KafkaSettings, existing
from schemas.errors import ConfigError, FormatError, RefusedError, TidemarkError, UnreachableError

_Client = TypeVar("_Client")
_Found = TypeVar("_Found")

_GRACE_S = 5.0

_REFUSED = {
    KafkaError._AUTHENTICATION,  # noqa: SLF001  librdkafka's local errors begin with an underscore
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError._SSL,  # noqa: SLF001
}
_RIGHTS = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
# What librdkafka says of records that it cannot read. Past some of them it goes on with the next fetch by itself.
_UNREADABLE = {
    KafkaError._BAD_MSG: (  # noqa: SLF001
        "a record whose checksum does not match",
        "A disk of the broker, or the network, is damaged. Restore the topic from a replica or a backup.",
    ),
    KafkaError._BAD_COMPRESSION: (  # noqa: SLF001
        "a record that cannot be decompressed",
        "It is damaged, or more than 100 MB when decompressed: tidemark writes no such records. See who else does.",
    ),
    KafkaError._NOT_IMPLEMENTED: (  # noqa: SLF001
        "a record in a form that this Kafka client does not know",
        "tidemark writes no such records. See who else does.",
    ),
}
_PROTOCOLS = "group.coordinator.rebalance.protocols"
SESSION = "group.consumer.session.timeout.ms"
_UNKNOWN = (KafkaError.UNKNOWN_TOPIC_OR_PART,)


def common(settings: KafkaSettings, client_id: str) -> dict[str, Any]:
    """What every client needs. It tells `error_cb` what it would write to stderr at level 3, past our log."""
    config: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap_servers,
        "client.id": client_id,
        "error_cb": Complaints(),
        "log_level": 2,
        "reconnect.backoff.ms": 20,  # half of it passes before a new client connects at all
        "reconnect.backoff.max.ms": 2000,
        "allow.auto.create.topics": False,
    }
    secure = settings.tls
    if settings.sasl_mechanism:
        config |= {
            "sasl.mechanism": settings.sasl_mechanism,
            "sasl.username": settings.user,
            "sasl.password": settings.secret(),
        }
    if secure and settings.ca_file:
        config["ssl.ca.location"] = existing(settings.ca_file)
    config["security.protocol"] = ("SASL_" if settings.sasl_mechanism else "") + ("SSL" if secure else "PLAINTEXT")
    return config


def producer(settings: KafkaSettings, client_id: str, **overrides: Any) -> Producer:
    """An idempotent producer; add `transactional.id` for a transactional one."""
    defaults = {
        "enable.idempotence": True,
        "acks": "all",
        "compression.type": "lz4",
        "linger.ms": 5,
        "message.max.bytes": settings.max_event_bytes * 2 + 65536,
    }
    return _made(Producer, {**common(settings, client_id), **defaults, **_dotted(overrides)})


def consumer(settings: KafkaSettings, client_id: str, **overrides: Any) -> Consumer:
    """A consumer of committed records that never commits by itself and never guesses an offset."""
    defaults = {
        "group.id": client_id,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "check.crcs": True,
        "fetch.message.max.bytes": settings.max_event_bytes * 2 + 65536,
        "enable.partition.eof": False,
        "fetch.wait.max.ms": 100,
    }
    return _made(Consumer, {**common(settings, client_id), **defaults, **_dotted(overrides)})


def admin(settings: KafkaSettings, client_id: str) -> AdminClient:
    return _made(AdminClient, common(settings, client_id))


def _made(client: Callable[[dict[str, Any]], _Client], config: dict[str, Any]) -> _Client:
    """Make a client. Constructing one does not connect: what fails is the configuration, a certificate for instance."""
    try:
        return client(config)
    except KafkaException as error:
        raise ConfigError(f"Kafka's client refuses the settings: {error.args[0].str()}", where="[kafka]") from error


def _dotted(overrides: dict[str, Any]) -> dict[str, Any]:
    # Callbacks are named with underscores, properties with dots.
    return {
        key if callable(value) else key.replace("__", "-").replace("_", "."): value for key, value in overrides.items()
    }


def translate(error: KafkaException | KafkaError, where: str) -> TidemarkError:
    """One of our errors for one of librdkafka's: refused where the broker said no, damaged, else unreachable."""
    cause = error.args[0] if isinstance(error, KafkaException) else error
    if cause.code() in _REFUSED:
        hint = "Check [kafka] user, password_file, tls."
        if cause.code() in _RIGHTS:
            hint = "Kafka's ACLs do not let [kafka] user do that. What it needs: docs/errors/refused.md."
        return RefusedError(f"Kafka refuses: {cause.str()}", where=where, hint=hint)
    if cause.code() in _UNREADABLE:
        what, hint = _UNREADABLE[cause.code()]
        return FormatError(f"Kafka sends {what}: {cause.str()}", where=where, hint=hint)
    return UnreachableError(f"Kafka: {cause.str()}", where=where, hint="Check [kafka] bootstrap_servers.")


def answer(future: Future[_Found], timeout_s: float, where: str, *, expected: Collection[int] = ()) -> _Found:
    """What an admin request that was given `timeout_s` ends in. Raises a `TidemarkError`.

    A `KafkaException` with one of the `expected` codes comes through as it is.
    """
    try:
        # librdkafka ends the request at that time with an error of its own, a little later.
        return future.result(timeout_s + _GRACE_S)
    except TimeoutError as error:
        raise UnreachableError(f"Kafka does not answer in {timeout_s:g} s", where=where) from error
    except KafkaException as error:
        if error.args[0].code() in expected:
            raise
        raise translate(error, where) from error


def metadata(client: AdminClient | Producer, topic: str, where: str, timeout_s: float = 15) -> TopicMetadata:
    """What the brokers say of a topic, its `error` included. Raises a `TidemarkError` if they say nothing."""
    try:
        return client.list_topics(topic, timeout=timeout_s).topics[topic]
    except KafkaException as error:
        raise translate(error, where) from error


def topic_ids(client: AdminClient, topics: list[str], where: str, timeout_s: float = 15) -> dict[str, str]:
    """Topic -> the UUID that Kafka gave it; a topic that was deleted and made again has another one.

    Topics that do not exist are absent.
    """
    if not topics:
        return {}
    # An admin request that meets a broker that is away can end the process: librdkafka 2.16 aborts it now and then
    # (`rd_kafka_enq_once_del_source_return: Assertion`). Asking for metadata first cannot.
    metadata(client, topics[0], where, timeout_s)
    found: dict[str, str] = {}
    futures = client.describe_topics(TopicCollection(topics), request_timeout=timeout_s)
    for name, future in futures.items():
        try:
            found[name] = str(answer(future, timeout_s, f"topic {name} on {where}", expected=_UNKNOWN).topic_id)
        except KafkaException:
            continue
    return found


def committed(settings: KafkaSettings, group: str, places: list[TopicPartition], timeout_s: float = 15) -> list[Any]:
    """What a group has committed at these places, metadata included; -1001 for nothing. It is not joined.

    `AdminClient.list_consumer_group_offsets` does not do: librdkafka (2.14 at least) follows a null pointer, and takes
    the process with it, when a broker answers that the coordinator is elsewhere or not there yet
    (https://github.com/confluentinc/librdkafka/issues/5315).
    """
    where = settings.bootstrap_servers
    reader = consumer(settings, group, group_id=group)
    try:
        found = reader.committed(places, timeout=timeout_s)
        wrong = next((place.error for place in found if place.error is not None), None)
        if wrong is not None:
            raise translate(wrong, where)
        return list(found)
    except KafkaException as error:
        # A refused group is only a time-out here; what the broker said comes as an event.
        event = reader.poll(0)
        raise translate((event and event.error()) or error, where) from error
    finally:
        reader.close()


def session_of_brokers_s(client: AdminClient, where: str, timeout_s: float = 4) -> float | None:
    """After how long brokers that assign partitions themselves (KIP-848) give up a silent consumer; None: they do not.

    None also where we may not ask.
    """
    try:
        broker = next(iter(client.list_topics(timeout=timeout_s).brokers))
    except KafkaException as error:
        raise translate(error, where) from error
    resource = ConfigResource(ConfigResource.Type.BROKER, str(broker))
    try:
        found = answer(client.describe_configs([resource], request_timeout=timeout_s)[resource], timeout_s, where)
    except RefusedError:
        return None
    values = {name: entry.value or "" for name, entry in found.items()}
    if "consumer" not in values.get(_PROTOCOLS, "").split(","):
        return None
    return int(values[SESSION]) / 1000
