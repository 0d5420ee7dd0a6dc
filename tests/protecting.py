"""Policies of columns for tests, and the hashes that are to come out."""

from __future__ import annotations

import hmac

from cdc.source.hash_key import HashKey
from cdc.source.protection import Policy, Protections, TablePolicies

SECRET = b"0123456789abcdef0123456789abcdef"


def protecting(db: str, *, optional: tuple[str, ...] = (), table: str = "t", **columns: str) -> Protections:
    """Column -> `exclude`, `mask` or `hash`, for one table."""
    policies = {column: Policy(policy) for column, policy in columns.items()}
    section = TablePolicies(columns=policies, optional=frozenset(optional))
    return Protections({f"{db}.{table}": section}, HashKey(SECRET))


def hashed(text: str) -> str:
    """Not by the code under test."""
    return hmac.new(SECRET, text.encode(), "sha256").hexdigest()
