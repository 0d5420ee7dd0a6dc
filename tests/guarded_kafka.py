"""A broker that knows users and what each may do. Who logs in nowhere, as tests themselves do, may do everything."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from stack.kafka import KafkaServer
from stack.ports import HOST

USERS = {"auditor": "auditor-password", "sink": "sink-password"}
_LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"


class GuardedKafka(KafkaServer):
    """`port` is open to all, `ports["sasl"]` to `USERS`, with SASL PLAIN."""

    port_names = ("port", "controller", "sasl")

    def _all_properties(self) -> dict[str, str]:
        known = super()._all_properties()
        login = f"SASL://{HOST}:{self.ports['sasl']}"
        users = " ".join(f'user_{name}="{password}"' for name, password in USERS.items())
        return {
            **known,
            "listeners": f"{known['listeners']},{login}",
            "advertised.listeners": f"{known['advertised.listeners']},{login}",
            "listener.security.protocol.map": f"{known['listener.security.protocol.map']},SASL:SASL_PLAINTEXT",
            "listener.name.sasl.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl.plain.sasl.jaas.config": f"{_LOGIN} {users};",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }

    def login(self, user: str) -> dict[str, Any]:
        """What a configuration says of it."""
        where = {"bootstrap_servers": f"{HOST}:{self.ports['sasl']}", "tls": False}
        return {**where, "sasl_mechanism": "PLAIN", "user": user, "password": USERS[user]}

    def grant(self, user: str, *rights: AclBinding) -> None:
        """These, and no other. A broker knows of them when this returns."""
        client = AdminClient({"bootstrap.servers": f"{HOST}:{self.port}"})
        whose = AclBindingFilter(
            ResourceType.ANY, None, ResourcePatternType.ANY, f"User:{user}", None, AclOperation.ANY,
            AclPermissionType.ANY,
        )  # fmt: skip
        for future in client.delete_acls([whose]).values():
            future.result(30)
        for made in client.create_acls(list(rights)).values() if rights else ():
            made.result(30)


def rights(user: str, kind: ResourceType, prefix: str, operations: Iterable[AclOperation]) -> list[AclBinding]:
    """What a user may do with all topics, or groups, whose names begin so."""
    return [
        AclBinding(kind, prefix, ResourcePatternType.PREFIXED, f"User:{user}", "*", operation, AclPermissionType.ALLOW)
        for operation in operations
    ]
