"""Creates the topics of a source, and holds existing ones against what the pipeline relies on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from cdc.topic_configs import Losing, by_reason, losing, remedy
from ops.kafka import admin, answer, translate
from ops.log import logger
from ops.settings import KafkaSettings
from schemas import names
from schemas.errors import ConfigError, TopicMismatchError

_log = logger(__name__)

_DAY_MS = 86_400_000
_TIMEOUT_S = 5
_BAD_SHAPE = (KafkaError.INVALID_REPLICATION_FACTOR, KafkaError.INVALID_PARTITIONS)
_SEGMENT_BYTES = 1 << 20  # the smallest that Kafka 4 accepts (KIP-1030)

#: So that an index can be rebuilt from the topic alone, and the audit finds every event of the last day.
_TABLE_CONFIG = {
    "cleanup.policy": "compact",
    "min.compaction.lag.ms": str(_DAY_MS),
    "delete.retention.ms": str(7 * _DAY_MS),
}
#: A record a second or more, of which the last one counts: read at every start.
_POSITIONS_CONFIG = {
    "cleanup.policy": "compact",
    "segment.bytes": str(_SEGMENT_BYTES),
    "min.cleanable.dirty.ratio": "0.01",
    "max.compaction.lag.ms": "600000",
}
_CONTROL_CONFIG = {"cleanup.policy": "compact"}


class Topics:
    """The topics of one source on one cluster. Remembers which exist, so that the path asks nothing twice."""

    def __init__(self, settings: KafkaSettings, source: str) -> None:
        self._settings = settings
        self._source = source
        self.client: AdminClient = admin(settings, f"{source}-cdc")
        self._ready: set[str] = set()
        self._seen: set[str] = set()

    def count(self, topic: str) -> int:
        """The partitions that an existing topic has, or the ones that a new one will get."""
        return self._existing([topic]).get(topic) or self._settings.partitions

    def of_source(self) -> Mapping[str, int]:
        """Every existing topic of a table of this source -> partitions."""
        prefix, control = f"{self._source}.", names.control_topics(self._source)
        return {
            name: count for name, count in self._existing().items() if name.startswith(prefix) and name not in control
        }

    def ensure_control(self) -> None:
        """Create the four control topics. Called by each session, which looks at every topic anew."""
        self._ready.clear()
        wanted = self._control_configs()
        found = self._existing(wanted)
        for topic, count in found.items():
            if count != 1:
                raise self._split(topic, count)
        self._create([self._new(topic, 1, config) for topic, config in wanted.items() if topic not in found])
        vital = {names.positions_topic(self._source), names.schema_topic(self._source)}
        if lost := {topic: limits for topic, limits in self._losing(found).items() if topic in vital}:
            self._seen -= lost.keys()
            raise self._forgetful(lost)

    def losing(self) -> Losing:
        """Which existing topics of the source Kafka deletes old records of."""
        control = self._existing(names.control_topics(self._source))
        return losing(self.client, [*self.of_source(), *control], self._settings.bootstrap_servers)

    def ensure(self, counts: Mapping[str, int], *, pinned: Mapping[str, int]) -> None:
        """Create table topics (topic -> partitions). Raises `TopicMismatchError`.

        A topic in `pinned` is one that the stored position has written to: it must exist.
        """
        unsure = {topic: count for topic, count in counts.items() if topic not in self._ready}
        if not unsure:
            return
        found = self._existing(unsure)
        for topic, count in unsure.items():
            if topic in found and found[topic] != count:
                raise self._mismatch(topic, found=found[topic], pinned=count)
            if topic not in found and topic in pinned:
                raise self._vanished(topic, count)
        self._losing(found)
        config = self._table_config()
        self._create([self._new(topic, count, config) for topic, count in unsure.items() if topic not in found])
        self._ready |= unsure.keys()

    def _losing(self, topics: Iterable[str]) -> Mapping[str, str]:
        # Once a process: not at a start anew because a broker is away, when an admin request can end the process.
        new = set(topics) - self._seen
        found = losing(self.client, new, self._settings.bootstrap_servers)
        for reason, unseen in by_reason(found.unseen).items():
            _log.warning(
                f"whether Kafka deletes old records cannot be seen of {len(unseen)} topics ({unseen[0]}, …): {reason}",
                action="topic_config_unseen",
                topics=len(unseen),
                hint="What cdc needs to see it: docs/errors/refused.md.",
            )
        for topic, limits in found.limits.items():
            _log.warning(
                f"Kafka deletes old records of topic {topic} ({limits}): they cannot be indexed again",
                action="topic_loses",
                topic=topic,
                hint=remedy([topic], self._settings.bootstrap_servers),
            )
        self._seen |= new
        return found.limits

    def _message_bytes(self) -> int:
        # The limit is on the whole record batch: key, headers and framing come on top of the event.
        return self._settings.max_event_bytes + 65_536

    def _new(self, topic: str, partitions: int, config: Mapping[str, str]) -> NewTopic:
        factor = self._settings.replication_factor
        return NewTopic(topic, num_partitions=partitions, replication_factor=factor, config=dict(config))

    def _existing(self, topics: Iterable[str] | None = None) -> dict[str, int]:
        try:
            found = self.client.list_topics(timeout=_TIMEOUT_S).topics
        except KafkaException as error:
            raise translate(error, self._settings.bootstrap_servers) from error
        wanted = found if topics is None else set(topics)
        return {name: len(topic.partitions) for name, topic in found.items() if name in wanted and not topic.error}

    def _create(self, topics: list[NewTopic]) -> None:
        if not topics:
            return
        for name, future in self.client.create_topics(topics, request_timeout=_TIMEOUT_S).items():
            where = f"topic {name} on {self._settings.bootstrap_servers}"
            try:
                answer(future, _TIMEOUT_S, where, expected=(KafkaError.TOPIC_ALREADY_EXISTS, *_BAD_SHAPE))
                _log.info("topic created", action="topic_created", topic=name)
            except KafkaException as error:
                if error.args[0].code() in _BAD_SHAPE:
                    raise ConfigError(
                        f"Kafka refuses to create the topic: {error.args[0].str()}",
                        where=where,
                        hint="Set [kafka] replication_factor and partitions to what the cluster can hold.",
                    ) from error

    def _mismatch(self, topic: str, *, found: int, pinned: int) -> TopicMismatchError:
        return TopicMismatchError(
            f"topic {topic} has {found} partitions, and this pipeline writes {pinned}",
            where=self._settings.bootstrap_servers,
            hint="With another count a key's events would lie in two partitions, in no order. A topic cannot give "
            "partitions back, and nothing of what is in it is published again by itself. Let the sink read all of it, "
            f"stop the sink, and delete the topic; {self._anew(pinned)}",
        )

    def _vanished(self, topic: str, partitions: int) -> TopicMismatchError:
        return TopicMismatchError(
            f"topic {topic} is gone, though the stored position says that events were written to it",
            where=self._settings.bootstrap_servers,
            hint="What was in it is lost to every consumer. Find out who deleted it; then either leave the table out "
            f"with [cdc] exclude, or accept the loss: stop the sink, and {self._anew(partitions)}",
        )

    def _forgetful(self, lost: Mapping[str, str]) -> TopicMismatchError:
        return TopicMismatchError(
            "; ".join(f"Kafka deletes old records of topic {topic} ({limits})" for topic, limits in lost.items()),
            where=self._settings.bootstrap_servers,
            hint="The position, or what the events' columns are, would be lost. Let it keep the last of each key:\n"
            + remedy(lost, self._settings.bootstrap_servers),
        )

    def _table_config(self) -> dict[str, str]:
        return _TABLE_CONFIG | {"max.message.bytes": str(self._message_bytes())}

    def _control_configs(self) -> dict[str, dict[str, str]]:
        largest, twice = ({"max.message.bytes": str(times * self._message_bytes())} for times in (1, 2))
        return {
            names.positions_topic(self._source): _POSITIONS_CONFIG,
            names.schema_topic(self._source): _CONTROL_CONFIG | largest,
            names.control_topic(self._source): _CONTROL_CONFIG,
            names.deadletter_topic(self._source): _CONTROL_CONFIG | twice,
        }

    def _anew(self, partitions: int) -> str:
        return (
            f"create the topic by hand, with {partitions} partitions and {_listed(self._table_config())}; start cdc, "
            "have every row of the table published again (an UPDATE that changes each one), and only then run "
            "`tidemark sink rebuild`: of an empty topic it makes an empty index."
        )

    def _split(self, topic: str, found: int) -> TopicMismatchError:
        return TopicMismatchError(
            f"topic {topic} has {found} partitions, and control topics have one",
            where=self._settings.bootstrap_servers,
            hint="If nothing was ever written to it, delete it: cdc makes it as it has to be. Otherwise save its "
            f"records with their keys, make it again with 1 partition and {_listed(self._control_configs()[topic])}, "
            "and write them back before cdc starts: without them the position, or what the events' columns are, is "
            "lost.",
        )


def _listed(config: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in config.items())
