"""The hashes of protected columns: HMAC-SHA256 over the value as an event would show it."""

from __future__ import annotations

import hmac
from typing import Any

import orjson

_KNOWN_TEXT = "tidemark: the fingerprint of a key of hashes"
_FINGERPRINT_DIGITS = 16


class HashKey:
    """The key of the hashes; shows itself to nobody."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def reveal(self) -> bytes:
        """The key, for the native engine."""
        return self._secret

    @property
    def fingerprint(self) -> str:
        """Tells one key from another, and gives neither away."""
        return self.of_text(_KNOWN_TEXT)[:_FINGERPRINT_DIGITS]

    def of_text(self, text: str) -> str:
        """64 hexadecimal digits."""
        return hmac.digest(self._secret, text.encode(), "sha256").hex()

    def of_value(self, value: Any) -> str | None:
        """The hash of a string's text, of anything else's JSON; null stays null."""
        if isinstance(value, str):
            return self.of_text(value)
        json = orjson.dumps(value)
        if json == b"null":
            return None
        return self.of_text(orjson.loads(json) if json.startswith(b'"') else json.decode())

    def __repr__(self) -> str:
        return "HashKey(********)"

    def __reduce__(self) -> Any:
        raise TypeError("a key is written nowhere")
