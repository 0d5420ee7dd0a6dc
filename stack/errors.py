"""What can go wrong while real servers are fetched, started and stopped."""

from __future__ import annotations

from schemas.errors import ExitCode, TidemarkError

ELSEWHERE = (
    "or use servers of your own: `tidemark stack up --docker` where Docker runs, or TIDEMARK_TEST_MYSQL, "
    "TIDEMARK_TEST_KAFKA and TIDEMARK_TEST_ELASTICSEARCH"
)


class StackError(TidemarkError):
    """The local servers could not be brought to where they should be."""

    code = "stack"
    exit_code = ExitCode.UNREACHABLE


class MissingToolError(StackError):
    """A program that fetches or runs a server is not there and cannot be installed from here."""

    code = "stack-missing-tool"
    exit_code = ExitCode.USAGE


class DownloadError(StackError):
    """A package registry did not deliver; what was fetched so far is kept."""

    code = "stack-download"
    retryable = True


class ChecksumError(StackError):
    """A downloaded file is not the one that the lock file names."""

    code = "stack-checksum"
    exit_code = ExitCode.UNSAFE


class ServerStartError(StackError):
    """A server ended, or did not answer in time; the text ends with the last lines of its log."""

    code = "stack-server-start"


class CancelledError(StackError):
    """Somebody asked to stop while the stack was on its way up."""

    code = "stack-cancelled"
    exit_code = ExitCode.INTERRUPTED
