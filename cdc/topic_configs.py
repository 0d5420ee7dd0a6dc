"""Which topics Kafka deletes old records of: an index is built anew from a table's, starts read the control topics."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource

from ops.kafka import answer
from schemas.errors import TidemarkError

_TIMEOUT_S = 5
_AT_ONCE = 200  # no broker answers for thousands of topics in time
_LIMITS = ("retention.ms", "retention.bytes")  # below 0: none


@dataclass(frozen=True, slots=True, kw_only=True)
class Losing:
    """What a look at topics gave. `limits`: topic -> the settings by which it loses records that nothing replaced.

    `unseen`: topic -> why its settings are not known.
    """

    limits: dict[str, str] = field(default_factory=dict)
    unseen: dict[str, str] = field(default_factory=dict)


def losing(client: AdminClient, topics: Collection[str], where: str) -> Losing:
    """Raises nothing for what cannot be seen: cdc works without it, and not every broker shows all settings."""
    found, names = Losing(), sorted(topics)
    for start in range(0, len(names), _AT_ONCE):
        part = names[start : start + _AT_ONCE]
        _look(client, part, where, found)
        if found.unseen.keys() >= set(part):  # the others would take as long
            found.unseen.update(dict.fromkeys(names[start:], found.unseen[part[-1]]))
            break
    return found


def _look(client: AdminClient, topics: Sequence[str], where: str, found: Losing) -> None:
    resources = [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in topics]
    try:
        answers = client.describe_configs(resources, request_timeout=_TIMEOUT_S)
    except KafkaException as error:
        found.unseen.update(dict.fromkeys(topics, error.args[0].str()))
        return
    for resource, future in answers.items():
        try:
            values = {name: entry.value or "" for name, entry in answer(future, _TIMEOUT_S, where).items()}
            if limits := _limits(values):
                found.limits[resource.name] = limits
        except TidemarkError as error:
            found.unseen[resource.name] = error.what
        except (KeyError, ValueError) as error:
            found.unseen[resource.name] = f"Kafka does not say its retention ({error})"


def _limits(values: Mapping[str, str]) -> str:
    policy = values["cleanup.policy"]
    if "delete" not in policy.split(","):
        return ""
    limited = [f"{name}={values[name]}" for name in _LIMITS if int(values[name]) >= 0]
    return ", ".join([f"cleanup.policy={policy}", *limited]) if limited else ""


def by_reason(unseen: Mapping[str, str]) -> dict[str, list[str]]:
    """Why -> the topics: a right that is missing is the same for all."""
    found: dict[str, list[str]] = {}
    for topic, reason in unseen.items():
        found.setdefault(reason, []).append(topic)
    return found


def remedy(topics: Collection[str], where: str) -> str:
    """What to paste so that they keep the last record of each key."""
    tool = f"kafka-configs.sh --bootstrap-server {where} --alter --entity-type topics --entity-name"
    return "\n".join(f"{tool} {topic} --add-config cleanup.policy=compact" for topic in sorted(topics))
