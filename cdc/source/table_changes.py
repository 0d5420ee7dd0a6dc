"""What statements mean for captured tables: barriers for what they emptied, a word to the pipeline about the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cdc.source.capture import Tables
from cdc.source.envelope import Origin, Seq, barrier
from cdc.source.protection import UNPROTECTED, Protections
from cdc.source.query import Query
from cdc.source.redact import redacted
from cdc.source.renames import check_renames
from cdc.source.seam import Ddl, DdlKind, Record, Router
from cdc.source.sql import NEWEST
from cdc.source.statement import ASIDE, Kind, Statement
from schemas.table import Table, full_name

_KINDS = {
    Kind.EMPTIED: DdlKind.EMPTIED,
    Kind.DROPPED: DdlKind.DROPPED,
    Kind.DATABASE_DROPPED: DdlKind.DROPPED,
    Kind.REPLACED: DdlKind.REPLACED,
}


class TableChanges:
    """Judges statements.

    `fold_names`: the server compares names without case (lower_case_table_names 1 or 2). `version`: the server's.
    """

    def __init__(
        self,
        router: Router,
        tables: Tables,
        seq: Seq,
        *,
        fold_names: Callable[[], bool],
        version: Callable[[], int] = lambda: NEWEST,
        protections: Protections = UNPROTECTED,
    ) -> None:
        self._router = router
        self._tables = tables
        self._seq = seq
        self._fold = fold_names
        self._version = version
        self._protections = protections

    def ddl(self, query: Query, statement: Statement, origin: Origin) -> Ddl | None:
        """What the pipeline has to look after; None if no wanted table, refused or not, can have changed.

        Raises `ProtectionError` where protected values come to stand under a name that nothing protects.
        """
        check_renames(query, self._folded(statement), self._version(), self._protections, self._router)
        if statement.kind is Kind.HARMLESS or not self._concerns(statement):
            return None
        return Ddl(
            kind=self._kind(statement),
            db=query.db,
            tables=tuple(full_name(*table) for table in statement.tables),
            statement=self.text(query),
            gtid=origin.transaction.gtid,
            file=origin.at.file,
            pos=origin.at.start,
            moved=tuple(full_name(*old) for old, _ in statement.moves if old != ASIDE),
        )

    def text(self, query: Query) -> str:
        """A statement's text for people: without the values in it where columns are protected."""
        return redacted(query) if self._protections else query.text

    def barriers(self, statement: Statement, origin: Origin) -> Iterator[Record]:
        """For each table that was emptied, one in every partition. A table never seen has published nothing."""
        if _KINDS.get(statement.kind) not in (DdlKind.EMPTIED, DdlKind.DROPPED):
            return
        for table in self._emptied(statement):
            partitions = self._router.partitions(table.topic)
            yield from barrier(origin, self._seq.next(), table=table, partitions=partitions)

    def provably_elsewhere(self, query: Query, statement: Statement) -> bool:
        """True if a change logged as text wrote to no captured table.

        The statement must name its one table plainly, that one must not be captured, and the server must have listed
        the databases written to, triggers and functions included: none but the named one, with no table known there.
        """
        if not statement.tables or query.updated_dbs is None:
            return False
        written = set(query.updated_dbs)
        if written - {db for db, _ in statement.tables}:
            return False
        known = (table for table in self._tables.known.values() if table.db in written)
        return not any(self._router.captures(db, table) for db, table in statement.tables) and not any(
            self._router.captures(table.db, table.name) for table in known
        )

    def _folded(self, statement: Statement) -> Statement:
        return statement._replace(
            tables=tuple(self._name(*table) for table in statement.tables),
            moves=tuple((self._name(*old), self._name(*new)) for old, new in statement.moves),
        )

    def _concerns(self, statement: Statement) -> bool:
        if statement.kind is Kind.DATABASE_DROPPED or not statement.tables:
            return True
        names = {*statement.tables, *(self._name(*table) for table in statement.tables)}
        return any(self._router.wants(*name) for name in names)

    def _kind(self, statement: Statement) -> DdlKind:
        if statement.kind is Kind.RENAMED:
            return DdlKind.REPLACED if any(self._router.wants(*new) for _, new in statement.moves) else DdlKind.OTHER
        return _KINDS.get(statement.kind, DdlKind.OTHER)

    def _emptied(self, statement: Statement) -> Iterator[Table]:
        whole = statement.kind is Kind.DATABASE_DROPPED
        named = {self._name(db, "" if whole else table) for db, table in statement.tables}
        for table in self._tables.known.values():
            wanted = self._router.wants(table.db, table.name)  # one that is refused by now has documents all the same
            if wanted and self._name(table.db, "" if whole else table.name) in named:
                yield table

    def _name(self, db: str, table: str) -> tuple[str, str]:
        return (db.lower(), table.lower()) if self._fold() else (db, table)
