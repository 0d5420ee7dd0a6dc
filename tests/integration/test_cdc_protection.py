"""Protected columns at preflight: what stops the start, what is only told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cdc.checks import Inspected, findings, inspect
from cdc_process import execute
from ops.checks import Severity
from ops.mysql import connect
from ops.settings import Settings
from schemas.errors import PreflightError
from servers import Mysql

pytestmark = pytest.mark.stack


@pytest.fixture
def look(mysql: Mysql, table: str, cdc_settings: Callable[..., Settings]) -> Callable[..., Inspected]:
    """A look at `t (id, ssn, mail, lower, n)`, with policies per pattern; `{db}` is the database."""
    with mysql.connect(database=table) as connection:
        execute(
            connection,
            "DROP TABLE t",
            "CREATE TABLE t (id INT PRIMARY KEY, ssn CHAR(11), mail CHAR(40), n INT,"
            " lower CHAR(40) AS (LOWER(mail)) STORED)",
        )

    def make(**sections: dict[str, list[str]]) -> Inspected:
        policies = {f"{table}.{pattern}": section for pattern, section in sections.items()}
        settings = cdc_settings(cdc={"table": policies, "hash_key_file": "unread"})
        with connect(settings.source) as connection:
            return inspect(connection, settings)

    return make


def told(found: Inspected) -> list[tuple[Severity, str]]:
    return [(finding.severity, finding.what) for finding in found.findings if finding.check == "protection"]


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"t": {"exclude": ["snn"]}}, "t has no column snn, which is to be excluded; did you mean ssn?"),
        ({"t": {"mask": ["ID"], "optional": ["ID"]}}, "is in its primary key, which cannot be protected"),
        ({"tt": {"mask": ["ssn"]}}, "protects columns of no table that is there; did you mean"),
        ({"T": {"mask": ["ssn"], "optional": ["ssn"]}}, ".t differs from it in capital letters only"),
        ({"T*": {"mask": ["ssn"]}}, ".t differs from it in capital letters only"),
        ({"t": {"mask": ["ssn"]}, "*": {"hash": ["ssn"]}}, "is in several policies: hash and mask"),
    ],
)
def test_what_stops_the_start(look: Callable[..., Inspected], sections: dict, words: str) -> None:
    found = look(**sections)
    ((severity, what),) = told(found)
    assert severity is Severity.FAIL
    assert words in what
    with pytest.raises(PreflightError) as caught:
        found.enforce()
    assert words in caught.value.what
    assert caught.value.hint


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"t": {"exclude": ["ssn"]}}, ""),
        ({"*": {"exclude": ["ssn", "gone"], "optional": ["gone"]}}, ""),
        ({"t": {"hash": ["mail"], "exclude": ["lower"]}}, ""),
        ({"t": {"hash": ["Mail"], "exclude": ["LOWER", "SSN"], "optional": ["ssn"]}}, ""),
        ({"t": {"hash": ["MAIL"]}}, "t is computed from mail, and is not protected"),
        ({"tt": {"mask": ["ssn"], "optional": ["SSN"]}}, "protects columns of no table that is there; did you mean"),
        ({"tt*": {"mask": ["ssn"]}}, "protects columns of no table that is there; did you mean"),
    ],
)
def test_what_is_only_told(look: Callable[..., Inspected], sections: dict, words: str) -> None:
    found = look(**sections)
    found.enforce()
    if not words:
        assert told(found) == []
        return
    ((severity, what),) = told(found)
    assert severity is Severity.WARN
    assert words in what
    assert [doubt.what for doubt in found.doubts] == [what]


def test_a_table_that_is_there_need_not_be_captured(
    mysql: Mysql, table: str, cdc_settings: Callable[..., Settings]
) -> None:
    """What gh-ost copies to may be excluded, and `tail` shows only some."""
    with mysql.connect(database=table) as connection:
        execute(connection, "CREATE TABLE left_out (id INT PRIMARY KEY, ssn CHAR(11))")
    policies = {f"{table}.left_out": {"exclude": ["ssn"]}}
    settings = cdc_settings(cdc={"table": policies, "exclude": [f"{table}.left_out"]})
    with connect(settings.source) as connection:
        assert told(inspect(connection, settings)) == []


def test_the_doctor_looks_at_the_key(cdc_settings: Callable[..., Settings], table: str, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("short")
    key.chmod(0o600)
    policies = {f"{table}.t": {"hash": ["n"]}}
    settings = cdc_settings(cdc={"table": policies, "hash_key_file": str(key)})
    assert "too short" in next(finding.what for finding in findings(settings) if finding.check == "hash-key")
    key.write_text("k" * 32)
    (finding,) = [finding for finding in findings(settings) if finding.check == "hash-key"]
    assert (finding.severity, "kkk" in finding.what) == (Severity.OK, False)
