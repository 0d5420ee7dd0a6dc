"""`python -m stack`: the same commands as `tidemark stack`, without the rest of the house."""

from __future__ import annotations

import sys

from schemas.errors import ExitCode, TidemarkError
from stack.commands import app


def main() -> int:
    """Run a command; say what went wrong and give the exit code."""
    try:
        app()
    except TidemarkError as error:
        hint = f"\nhint: {error.hint}" if error.hint else ""
        sys.stderr.write(f"error [{error.code}]: {error}{hint}\n")
        return int(error.exit_code)
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    return int(ExitCode.OK)


if __name__ == "__main__":
    sys.exit(main())
