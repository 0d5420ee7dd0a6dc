"""The policies of protected columns, as the configuration says them."""

from __future__ import annotations

from cdc.source.hash_key import HashKey
from cdc.source.protection import Policy, Protections, TablePolicies
from ops.settings import CdcTableSettings, Settings, read_key

LEAST_KEY_BYTES = 32  # as long as the hash: a shorter key would be its weakest part


def policies(settings: Settings) -> Protections:
    """What is protected, without the key: enough to look at tables."""
    return Protections(_sections(settings))


def protections(settings: Settings) -> Protections:
    """What is protected, with the key if anything is hashed. Raises `ConfigError` if that cannot be read."""
    hashes = any(table.hash for table in settings.cdc.table.values())
    path = settings.cdc.hash_key_file
    key = HashKey(read_key(path, LEAST_KEY_BYTES)) if hashes and path else None
    return Protections(_sections(settings), key)


def _sections(settings: Settings) -> dict[str, TablePolicies]:
    found = {pattern: _section(table) for pattern, table in settings.cdc.table.items()}
    return {pattern: section for pattern, section in found.items() if section.columns}


def _section(table: CdcTableSettings) -> TablePolicies:
    return TablePolicies(
        columns={
            **dict.fromkeys(table.exclude, Policy.EXCLUDE),
            **dict.fromkeys(table.mask, Policy.MASK),
            **dict.fromkeys(table.hash, Policy.HASH),
        },
        optional=frozenset(table.optional),
    )
