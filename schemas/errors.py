"""One base error for all of tidemark: what went wrong, where, and how to mend it."""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What the process tells its supervisor; 2, 4, 5, 6 and 7 should not be restarted."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    UNREACHABLE = 3
    FINDINGS = 4
    POSITION_LOST = 5
    UNSAFE = 6
    FENCED = 7
    INCONCLUSIVE = 8
    INTERRUPTED = 130


class TidemarkError(Exception):
    """A failure that explains itself.

    `code` is stable and is the file name of its page under `docs/errors/`. `retryable` alone decides
    whether a running service tries again; the text never does.
    """

    code: ClassVar[str] = "internal"
    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL
    retryable: ClassVar[bool] = False

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        return f"{self.what}{place}"


class UsageError(TidemarkError):
    """The command line asks for something that makes no sense."""

    code = "usage"
    exit_code = ExitCode.USAGE


class ConfigError(TidemarkError):
    """A setting is unknown, misspelt, of the wrong type, or contradicts another one."""

    code = "config"
    exit_code = ExitCode.USAGE


class UnreachableError(TidemarkError):
    """A server does not answer; a running service tries again, for ever."""

    code = "unreachable"
    exit_code = ExitCode.UNREACHABLE
    retryable = True


class SlowCommitError(UnreachableError):
    """A Kafka transaction did not end in time; the next one is smaller."""


class GivenUpError(UnreachableError):
    """Kafka gave a transaction up: for another owner, or since this process stood still."""


class RefusedError(TidemarkError):
    """A server answers and says no: password, TLS, permission to connect."""

    code = "refused"
    exit_code = ExitCode.UNREACHABLE


class PreflightError(TidemarkError):
    """The server is set up in a way that would lose changes; holds every finding at once."""

    code = "preflight"
    exit_code = ExitCode.FINDINGS


class PositionLostError(TidemarkError):
    """What comes after the stored position can no longer be read: somebody has to decide."""

    code = "position-lost"
    exit_code = ExitCode.POSITION_LOST


class PositionPurgedError(PositionLostError):
    """MySQL has deleted the binlog that holds what comes after the stored position."""

    code = "position-purged"


class OffsetsLostError(PositionLostError):
    """A partition's committed offset does not belong to the records that are there now."""

    code = "offsets-lost"


class UnsafeError(TidemarkError):
    """Going on could lose or corrupt data, so tidemark does not."""

    code = "unsafe"
    exit_code = ExitCode.UNSAFE


class UndecodableError(UnsafeError):
    """The binlog holds something that cannot be decoded faithfully."""

    code = "undecodable"


class UnsupportedEventError(UndecodableError):
    """An event type that the engine does not know, and that MySQL does not mark as ignorable."""

    code = "unsupported-event"


class StatementFormatError(UndecodableError):
    """A row change was logged as SQL text; its rows cannot be known."""

    code = "statement-format"


class PartialImageError(UndecodableError):
    """A row event holds only some of the columns (binlog_row_image is not FULL)."""

    code = "partial-image"


class RowMetadataError(UndecodableError):
    """The table map holds no column names (binlog_row_metadata is not FULL)."""

    code = "row-metadata"


class TopicMismatchError(UnsafeError):
    """A topic has another partition count or policy than the one that this pipeline relies on."""

    code = "topic-mismatch"


class HangingTransactionError(UnsafeError):
    """Kafka holds records of a transaction without an end, and either end could lose events."""

    code = "hanging-transaction"


class IndexForeignError(UnsafeError):
    """An index or alias of that name exists, and tidemark did not make it."""

    code = "index-foreign"


class IndexRulesError(UnsafeError):
    """An index took another's place that was made by other rules than those by which rows are written."""

    code = "index-rules"


class IndexMissingError(UnsafeError):
    """The index behind an alias is gone; writing would start an empty one."""

    code = "index-missing"


class MappingConflictError(UnsafeError):
    """The table's columns changed in a way that the index's mapping cannot follow."""

    code = "mapping-conflict"


class DocumentError(UnsafeError):
    """No document can be made of an event: its table's filter or transform fails. The sink dead-letters the event.

    `kind` is the letter's type.
    """

    code = "document"

    def __init__(self, what: str, *, kind: str, where: str = "", hint: str = "") -> None:
        super().__init__(what, where=where, hint=hint)
        self.kind = kind


class DdlError(UnsafeError):
    """A statement changed a captured table in a way that existing documents do not reflect."""

    code = "ddl"


class UnknownOutcomeError(UnsafeError):
    """Elasticsearch answered an item with a status that has no agreed meaning."""

    code = "unknown-outcome"


class ProtectionError(UnsafeError):
    """A column that is to be excluded, masked or hashed could be published as it is."""

    code = "protection"


class FormatError(UnsafeError):
    """A record was written by a newer tidemark, or by something else."""

    code = "format"


class DuplicateReaderError(UnsafeError):
    """Another replica reads with the same server id: MySQL disconnects one whenever the other connects."""

    code = "duplicate-reader"


class FencedError(TidemarkError):
    """Another instance with the same name has taken over."""

    code = "fenced"
    exit_code = ExitCode.FENCED


class InconclusiveError(TidemarkError):
    """An audit could not prove anything: it was incomplete, or there was nothing to check."""

    code = "inconclusive"
    exit_code = ExitCode.INCONCLUSIVE


class LaggingError(InconclusiveError):
    """The sink did not pass the audit's watermark in time, so absence proves nothing."""

    code = "lagging"


class PartialAnswerError(InconclusiveError):
    """A server answered for a part only (failed shards, a time-out, a log that was cut), so nothing is proven."""

    code = "partial-answer"


class RepairCapError(UnsafeError):
    """More would be repaired than the configuration allows at once; nothing was written."""

    code = "repair-cap"


class ReportOutdatedError(UsageError):
    """The report is about a topic or an index that is not there any more."""

    code = "report-outdated"


class RebuildFindingsError(TidemarkError):
    """An index that was built anew is not as its topic says, so it was not swapped in."""

    code = "rebuild-findings"
    exit_code = ExitCode.FINDINGS


class RebuildConfigError(UsageError):
    """The table's configuration changed while its index was being built."""

    code = "rebuild-config"


class LockedError(TidemarkError):
    """Another process holds the lock, the port or the folder."""

    code = "locked"
    exit_code = ExitCode.USAGE
