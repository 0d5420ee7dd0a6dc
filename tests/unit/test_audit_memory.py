"""Keys that are far more than the memory the audit may have: its process stays small."""

from __future__ import annotations

import subprocess
import sys

import pytest

_MIB = 1 << 20

# In a process of its own: peaks of other tests are not counted.
_PROGRAM = """
import sys
from auditor.columns import Columns
from auditor.expected import Expected
from auditor.search import Range
from auditor.store import Store

count, length, memory = map(int, sys.argv[1:])
step = max(1, (1 << 20) // length)
with Store(memory) as store:
    expected = Expected(store, range(3))
    for start in range(0, count, step):
        numbers = range(start, min(start + step, count))
        keys = [(b"%08d" % (number * 7919 % count)).ljust(length, b"k") for number in numbers]
        rows = len(keys)
        places = [[number % 3 for number in numbers], list(numbers), [1 + number for number in numbers]]
        expected.add(Columns(keys, *places, [99] * rows, [7] * rows, [number % 67 for number in numbers], [], []))
    expected.seal({0: count, 1: count, 2: count})
    assert expected.keys == count
    root = expected.roots[1]
    middle = [Range(1, root.low + root.size // 2, root.low + root.size // 2 + 5)]
    for axis in (expected.by_offset, expected.by_key):
        assert len(axis.places(middle)) == 5
        assert axis.totals(middle)[0].docs == 5
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) * 1024)
"""


@pytest.mark.parametrize(
    ("count", "length", "memory_bytes", "peak_bytes"),
    [
        (20_000, 3072, 32 * _MIB, 200 * _MIB),
        pytest.param(200_000, 3072, 256 * _MIB, 450 * _MIB, marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
        pytest.param(10_000_000, 8, 256 * _MIB, 450 * _MIB, marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    ],
)
def test_the_peak_is_bounded(count: int, length: int, memory_bytes: int, peak_bytes: int) -> None:
    command = [sys.executable, "-c", _PROGRAM, *map(str, (count, length, memory_bytes))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < peak_bytes
