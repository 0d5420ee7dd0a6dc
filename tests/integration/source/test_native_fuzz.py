"""The crate's fuzz targets, for a short while each, from what a real server writes: an error, and nothing worse."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from fuzz_seeds import seeds, write
from source_reader import SourceReader

pytestmark = [pytest.mark.stack, pytest.mark.soak, pytest.mark.timeout(1800)]

_CRATE = Path(__file__).parents[3] / "cdc/native"
_SECONDS = int(os.environ.get("TIDEMARK_TEST_FUZZ_S", "30"))
_LIMITS = ("-max_len=20000", "-timeout=20", "-rss_limit_mb=1024", "-malloc_limit_mb=512")
_TARGETS = ("rows", "json", "payload", "stream")
_CASES = ("bigint unsigned", "decimal(65,30)", "varchar", "enum", "set", "longtext", "geometry", "vector", "json")


@pytest.fixture
def engine(native: str) -> str:
    return native


@pytest.fixture(scope="module")
def fuzzer() -> list[str]:
    command = ["cargo", "+nightly", "fuzz"]
    try:
        subprocess.run([*command, "--version"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no nightly Rust toolchain with cargo-fuzz")
    subprocess.run([*command, "build"], cwd=_CRATE, check=True)
    return command


def test_no_target_finds_anything(fuzzer: list[str], reader: SourceReader, tmp_path: Path) -> None:
    for case in _CASES:
        write(seeds(reader, case, compressed=case == "varchar"), tmp_path)
        reader.sql("SET SESSION binlog_transaction_compression = 0", "DROP TABLE t")
    for target in _TARGETS:
        command = [*fuzzer, "run", target, str(tmp_path / target), "--", f"-max_total_time={_SECONDS}", *_LIMITS]
        done = subprocess.run(command, cwd=_CRATE, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{target}: {done.stderr[-3000:]}"
