"""Which columns of a table are excluded, masked or hashed: events, layouts and declarations agree on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase

from cdc.source.hash_key import HashKey
from schemas.table import Column, Protection, folded_column

MASK = "***"


class Policy(StrEnum):
    """What happens to a column."""

    EXCLUDE = "exclude"
    MASK = "mask"
    HASH = "hash"


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePolicies:
    """What the configuration says for one pattern: column -> policy. `optional`: columns that a table may lack."""

    columns: Mapping[str, Policy]
    optional: frozenset[str] = frozenset()

    @property
    def required(self) -> frozenset[str]:
        """Folded names of the columns that a table must have."""
        return frozenset(map(folded_column, self.columns)) - frozenset(map(folded_column, self.optional))


@dataclass(frozen=True, slots=True, kw_only=True)
class TableProtection:
    """What holds for one table, by folded names of columns.

    `contested`: columns to which patterns give several policies. `spelled`: folded name -> as the configuration has it.
    """

    columns: Mapping[str, Policy]
    spelled: Mapping[str, str]
    optional: frozenset[str] = frozenset()
    contested: Mapping[str, tuple[Policy, ...]] = field(default_factory=dict)
    key: HashKey | None = None

    def of(self, column: str) -> Policy | None:
        """What happens to a column of that name, however it is spelled; None if nothing does."""
        return self.columns.get(folded_column(column))

    def shown(self, columns: Iterable[Column]) -> tuple[Column, ...]:
        """A layout's columns as events have them."""
        return tuple(self._shown(column) for column in columns if self.of(column.name) is not Policy.EXCLUDE)

    def _shown(self, column: Column) -> Column:
        policy = self.of(column.name)
        if policy is Policy.MASK:
            return Column(name=column.name, type=column.type, nullable=column.nullable, protection=Protection.MASK)
        if policy is Policy.HASH:
            labels = tuple(self.label(label) for label in column.labels)
            return replace(column, labels=labels, protection=Protection.HASH)
        return column

    def label(self, text: str) -> str:
        """What a label of a hashed ENUM or SET is called; without the key at hand, nothing."""
        return self.key.of_text(text) if self.key else ""


class Protections:
    """The policies of all tables. `sections`: pattern -> policies; all that match a table hold for it."""

    def __init__(self, sections: Mapping[str, TablePolicies] | None = None, key: HashKey | None = None) -> None:
        self._sections = dict(sections or {})
        self.key = key

    def __bool__(self) -> bool:
        return bool(self._sections)

    @property
    def sections(self) -> Mapping[str, TablePolicies]:
        """Pattern -> what it says."""
        return self._sections

    def of(self, db: str, table: str) -> TableProtection | None:
        """What holds for a table; None if nothing does."""
        name = f"{db}.{table}"
        sections = [section for pattern, section in self._sections.items() if fnmatchcase(name, pattern)]
        wanted: dict[str, set[Policy]] = {}
        spelled: dict[str, str] = {}
        for section in sections:
            for column, policy in section.columns.items():
                wanted.setdefault(folded_column(column), set()).add(policy)
                spelled.setdefault(folded_column(column), column)
        if not wanted:
            return None
        required = {column for section in sections for column in section.required}
        return TableProtection(
            columns={column: next(policy for policy in Policy if policy in found) for column, found in wanted.items()},
            spelled=spelled,
            optional=frozenset(wanted.keys() - required),
            contested={column: tuple(sorted(found)) for column, found in wanted.items() if len(found) > 1},
            key=self.key,
        )


UNPROTECTED = Protections()
