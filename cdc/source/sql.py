"""SQL text to tokens, as far as leading words and names need it: comments, quotes, versioned comments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from cdc.source.query import Query

NEWEST = 999999


class Token(NamedTuple):
    """`word`: upper case, empty for anything quoted. `name`: the text of an identifier."""

    word: str
    name: str


_SKIPPED = re.compile(r"\s+|--(?=[\s\x00-\x1f]|$)[^\n]*|#[^\n]*|/\*(?!!).*?(?:\*/|\Z)", re.DOTALL)
_VERSIONED = re.compile(r"/\*!(\d{5,6})?")
_END = re.compile(r"\*/")
_BARE = re.compile(r"[0-9A-Za-z_$@\u0080-\U0010ffff]+")
_NAMES = {"`": re.compile(r"`((?:[^`]|``)*)`"), '"': re.compile(r'"((?:[^"]|"")*)"')}
_ESCAPED = {
    "'": re.compile(r"'[^'\\]*(?:(?:''|\\.)[^'\\]*)*'", re.DOTALL),
    '"': re.compile(r'"[^"\\]*(?:(?:""|\\.)[^"\\]*)*"', re.DOTALL),
}
_UNESCAPED = {"'": re.compile(r"'[^']*(?:''[^']*)*'"), '"': re.compile(r'"[^"]*(?:""[^"]*)*"')}
OTHER = Token("", "")


def tokens(query: Query, version: int = NEWEST) -> Iterator[Token]:
    """Words, names and punctuation, without comments; versioned comments count as the server counts them."""
    text, at = query.text, 0
    while at < len(text):
        if skipped := _SKIPPED.match(text, at):
            at = skipped.end()
        elif versioned := _VERSIONED.match(text, at):
            runs = int(versioned[1] or 0) <= version
            end = text.find("*/", versioned.end())
            at = versioned.end() if runs else (end + 2 if end >= 0 else len(text))
        elif text.startswith("*/", at):
            at += 2
        else:
            token, at = _token(query, text, at)
            yield token


def _token(query: Query, text: str, at: int) -> tuple[Token, int]:
    first = text[at]
    if first == "`" or (first == '"' and query.ansi_quotes):
        if found := _NAMES[first].match(text, at):
            return Token("", found[1].replace(first * 2, first)), found.end()
    elif first in _ESCAPED:
        if found := (_ESCAPED if query.backslash_escapes else _UNESCAPED)[first].match(text, at):
            return OTHER, found.end()
    elif found := _BARE.match(text, at):
        return Token(found[0].upper(), found[0]), found.end()
    return Token(first, ""), at + 1


def without_values(query: Query) -> Iterator[str]:
    """The text again in pieces: literals become `?`, comments and white space a blank; cut at an open quote."""
    text, at = query.text, 0
    while at < len(text):
        first = text[at]
        if skipped := _SKIPPED.match(text, at) or _VERSIONED.match(text, at) or _END.match(text, at):
            at = skipped.end()
            yield " "
            continue
        start = at
        token, at = _token(query, text, start)
        if first in "`'\"" and at == start + 1:
            yield "…"
            return
        literal = first.isdigit() or (first in _ESCAPED and token is OTHER)
        yield "?" if literal else text[start:at]
