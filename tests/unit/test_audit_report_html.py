"""The page: self-contained, every value escaped, and never green where nothing was proven."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from auditor import compare, strip
from auditor.report_html import LISTED, to_html
from reports import HOSTILE, finding, report, table, window
from schemas.report import AuditStatus, FindingClass, Repair, RepairReport

VOID = {"meta", "link", "br", "img", "hr", "rect"}


class Page(HTMLParser):
    """Tags, attributes and text; a tag that is not closed in its turn is an error."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page.decode())
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def classes(self) -> set[str]:
        return {word for _, attributes in self.tags for word in (attributes.get("class") or "").split()}


def test_no_value_becomes_markup() -> None:
    hostile = table(
        finding("missing", HOSTILE), finding("foreign", HOSTILE), name=HOSTILE, keys=9, reason=HOSTILE, index=HOSTILE,
        key_space={"bounds": [HOSTILE], "marks": [{"missing": 1}, {}]},
    )  # fmt: skip
    one = Repair.model_validate(
        {"class": "missing", "table": "s.t", "document": HOSTILE, "id": "1", "outcome": "failed", "reason": HOSTILE}
    )
    made = report(hostile, name=HOSTILE)
    repair = RepairReport(
        name="x", report="1", applied=True, status=AuditStatus.FINDINGS, started=made.started, finished=made.finished,
        repaired=0, counts={one.outcome: 1}, repairs=[one],
    )  # fmt: skip
    bytes_ = to_html(made.model_copy(update={"repair": repair}))
    page = Page(bytes_)
    assert not {"script", "img", "iframe", "base", "form"} & {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert page.text.count("<script>alert(1)</script>") >= 6  # shown as it is
    assert "{{7*7}}" in page.text
    assert not re.search("[\x1b\u202e\u2028]", bytes_.decode())


def test_nothing_is_fetched_and_all_is_labelled() -> None:
    page = Page(to_html(report(table(finding("missing", "00042"), keys=5000))))
    [policy] = [tag["content"] for tag in page.of("meta") if tag.get("http-equiv") == "Content-Security-Policy"]
    assert (policy or "").startswith("default-src 'none'")
    for _, attributes in page.tags:
        for name in ("src", "href", "action", "srcset"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))
    assert page.of("html")[0]["lang"] == "en"
    assert all(tag.get("aria-label") and tag["role"] == "img" for tag in page.of("svg"))
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    wanted = {value for _, tag in page.tags for name, value in tag.items() if name == "aria-labelledby"}
    assert wanted | {(tag["href"] or "")[1:] for tag in page.of("a")} <= ids


@pytest.mark.parametrize(
    ("made", "status"),
    [
        (report(), "inconclusive"),
        (report(table(keys=0, windows=[])), "inconclusive"),
        (report(table(reason="the sink is behind")), "inconclusive"),
        (report(table(), table(name="s.u", reason="the sink is behind")), "inconclusive"),
        (report(table(finding("missing", "1"), reason="a server went away")), "findings"),
        (report(table(finding("dead_lettered", "1"))), "clean"),
    ],
)
def test_only_what_is_clean_is_green(made, status: str) -> None:
    page = Page(to_html(made))
    badges = [tag["class"] for tag in page.of("span") if "badge" in (tag.get("class") or "")]
    assert badges[0] == f"badge {status}"
    assert page.text.lstrip().startswith(f"{status}: audit")
    assert ("CLEAN" in page.text) == (status == "clean")
    assert ("badge clean" in badges) == any(one.status.value == "clean" and one.keys for one in made.tables)
    for one in made.tables:
        assert one.reason in page.text


def test_what_it_shows() -> None:
    findings = [finding("missing", f"{number:05}", offset=number) for number in range(110, 130)]
    page = Page(to_html(report(table(*findings, finding("stale", "04000", offset=900), keys=5000, parts=(0, 2), of=6))))
    for words in (
        "FINDINGS: 21 documents are wrong, of 5,000", "s.t/00110", "only partitions 0, 2 of 6", "20 missing",
        "partition 0, offsets 0 to 1,000", "about 399 requests", "7 requests, 5,000 documents", "4 records behind",
        "39.1 KiB", "tidemark audit repair",
    ):  # fmt: skip
        assert words in page.text, words
    assert {"k-missing", "k-stale"} <= page.classes()


def test_many_findings_are_cut_by_name() -> None:
    many = table(*[finding("missing", str(number)) for number in range(LISTED + 5)], findings_cut=True, keys=9999)
    page = to_html(report(many)).decode()
    assert page.count('data-label="should be"') == LISTED
    assert "1,000 of 1,005; the JSON report lists 1,005" in page


def test_strips() -> None:
    one = table(finding("missing", "00000"), finding("missing", "00001"), finding("orphan", "99999", op="d"), keys=960)
    keys = strip.of_keys(one)
    assert [cell.kind for cell in keys.marked] == ["missing", "orphan"]
    assert (keys.marked[0].start, keys.marked[0].height, keys.marked[0].counts) == (0, 1, "2 missing")
    assert keys.marked[1].start == pytest.approx(95 / 96)
    assert keys.marked[1].where.startswith("keys from ")
    ends = table(finding("stale", "1", offset=7), finding("stale", "2", offset=9), windows=[window(low=7, high=10)])
    [line] = strip.of_offsets(ends)
    assert [(cell.where, cell.start) for cell in line.marked] == [
        ("offsets 7 to 7", 0),
        ("offsets 9 to 9", pytest.approx(2 / 3)),
    ]
    assert list(strip.of_offsets(table(finding("foreign", "x")))) == []
    assert strip.of_keys(table(keys=0)).marked == ()


def test_what_others_would_have_asked() -> None:
    assert compare.plain_binary(10_000_000, 0).requests == 1
    assert compare.plain_binary(10_000_000, 1).requests == 49
    assert compare.plain_binary(1, 1).requests == 1
    # The reference simulates 26,909 for 1,000 of 10 million at random places.
    assert 26_000 < compare.plain_binary(10_000_000, 1000).requests < 31_000
    assert compare.plain_binary(8, 8).requests == 15  # the whole tree
    assert compare.full_scan(0).requests == 2
    assert compare.full_scan(1_000_001) == (1003, 1_000_001)
    assert compare.differing(table(finding("missing", "1"), finding("stale", "2"))) == 2
    assert set(FindingClass) == set(__import__("auditor.words", fromlist=["MEANING"]).MEANING)
