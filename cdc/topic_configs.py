"""Which topics Kafka deletes old records of: an index is built anew from a table's, starts read the control topics."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource

from ops.kafka import answer
from ops.log import logger

_log = logger(__name__)

_TIMEOUT_S = 5
_LIMITS = ("retention.ms", "retention.bytes")  # below 0: none
_UNSEEN = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED)


def losing(client: AdminClient, topics: Collection[str], where: str) -> dict[str, str]:
    """Topic -> the settings by which it loses records that nothing replaced; only such topics.

    A topic whose configuration the user may not see (DESCRIBE_CONFIGS) is warned of. Raises `UnreachableError`.
    """
    resources = [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in sorted(topics)]
    if not resources:
        return {}
    found: dict[str, str] = {}
    for resource, future in client.describe_configs(resources, request_timeout=_TIMEOUT_S).items():
        try:
            entries = answer(future, _TIMEOUT_S, where, expected=(*_UNSEEN, KafkaError.UNKNOWN_TOPIC_OR_PART))
        except KafkaException as error:
            _log.warning(
                f"the configuration of topic {resource.name} cannot be seen: {error.args[0].str()}",
                action="topic_config_unseen",
                topic=resource.name,
            )
            continue
        if limits := _limits({name: entry.value or "" for name, entry in entries.items()}):
            found[resource.name] = limits
    return found


def _limits(values: Mapping[str, str]) -> str:
    policy = values["cleanup.policy"]
    limited = [f"{name}={values[name]}" for name in _LIMITS if int(values[name]) >= 0]
    return ", ".join([f"cleanup.policy={policy}", *limited]) if "delete" in policy.split(",") and limited else ""


def remedy(topics: Collection[str], where: str) -> str:
    """What to paste so that they keep the last record of each key."""
    tool = f"kafka-configs.sh --bootstrap-server {where} --alter --entity-type topics --entity-name"
    return "\n".join(f"{tool} {topic} --add-config cleanup.policy=compact" for topic in sorted(topics))
