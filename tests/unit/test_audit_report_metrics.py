"""The metrics of a cron job: what was not proven is not green, and the last success is not forgotten."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from auditor import shelf
from auditor.audit import NotCapturedError
from auditor.outputs import Outputs
from auditor.report_metrics import Served
from auditor.round import Round
from auditor.run_context import Context, StoppedError
from ops.settings import Settings
from reports import finding, report, table
from schemas.errors import RefusedError, TidemarkError, UnreachableError, UsageError
from schemas.report import AuditReport, AuditStatus, RepairReport

MakeContext = Callable[..., Context]


@pytest.fixture
def make_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeContext:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def make(**settings: object) -> Context:
        tree = {"source": {"name": "x", "user": "x", "password": "x"}, "audit": {"reports_index": "", **settings}}
        return Context(settings=Settings.model_validate(tree))

    return make


def samples(text: str) -> dict[str, float]:
    """`name{label=value,…}` without the pipeline's own labels -> value."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert (sample.labels.pop("source"), sample.labels.pop("against")) == ("x", "topic")
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            found[f"{sample.name.removeprefix('tidemark_audit_')}{{{labels}}}" if labels else
                  sample.name.removeprefix("tidemark_audit_")] = sample.value  # fmt: skip
    return found


def written(context: Context, *reports: AuditReport) -> dict[str, float]:
    for one in reports:
        assert Outputs(context).deliver(one) is None
    assert context.settings.audit.metrics_file is not None
    return samples(context.settings.audit.metrics_file.read_text())


def test_what_is_measured(make_context: MakeContext, tmp_path: Path) -> None:
    context = make_context(metrics_file=str(tmp_path / "t.prom"))
    good = report(table(finding("dead_lettered", "1"), keys=7), table(name="s.u"))
    found = written(context, good)
    assert found["clean"] == 1
    assert found["keys{table=s.t}"] == 7
    assert found["findings{kind=dead_lettered,table=s.t}"] == 1
    assert found["findings{kind=missing,table=s.u}"] == 0
    assert found["requests{table=s.u}"] == 6
    assert (found["duration_seconds"], found["last_run_timestamp_seconds"]) == (2, good.finished.timestamp())
    assert found["last_success_timestamp_seconds{table=s.t}"] == good.finished.timestamp()
    assert list(tmp_path.glob("t.prom*")) == [tmp_path / "t.prom"]
    assert (tmp_path / "t.prom").stat().st_mode & 0o044 == 0o044  # node_exporter is another user


def test_the_last_success_stays_where_it_was(make_context: MakeContext, tmp_path: Path) -> None:
    context = make_context(metrics_file=str(tmp_path / "t.prom"))
    good = report(table(), table(name="s.u"))
    bad = report(table(finding("missing", "1")), table(name="s.u"), number=5)
    found = written(context, good, bad)
    assert (found["clean"], found["table_clean{table=s.t}"], found["table_clean{table=s.u}"]) == (0, 0, 1)
    assert found["last_success_timestamp_seconds{table=s.t}"] == good.finished.timestamp()
    assert found["last_success_timestamp_seconds{table=s.u}"] == bad.finished.timestamp()
    earlier = written(context, good)  # as a merge of older parts
    assert earlier["last_success_timestamp_seconds{table=s.u}"] == bad.finished.timestamp()


@pytest.mark.parametrize(
    "unproven",
    [
        report(),
        report(table(keys=0)),
        report(table(reason="the sink is behind")),
        report(table(parts=(0, 1), of=3)),
        report(table(parts=(), of=3, keys=0), table(name="s.u", parts=(0,), of=3)),
    ],
)
def test_what_was_not_proven_is_not_green(make_context: MakeContext, tmp_path: Path, unproven: AuditReport) -> None:
    found = written(make_context(metrics_file=str(tmp_path / "t.prom")), unproven)
    assert found["clean"] == 0
    assert not any(name.startswith("last_success") for name in found)
    assert not any(value for name, value in found.items() if name.startswith("table_clean"))


def test_a_clean_audit_of_the_last_hours_is_clean_and_no_success(make_context: MakeContext, tmp_path: Path) -> None:
    found = written(make_context(metrics_file=str(tmp_path / "t.prom")), report(table(since="2h")))
    assert (found["clean"], found["table_clean{table=s.t}"]) == (1, 1)
    assert not any(name.startswith("last_success") for name in found)


def test_an_audit_of_some_tables_says_nothing_of_others(
    make_context: MakeContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = make_context(metrics_file=str(tmp_path / "t.prom"))
    one_wrong = report(table(finding("missing", "1")), table(name="s.u"))
    assert written(context, one_wrong)["clean"] == 0

    def some(*reports: AuditReport) -> dict[str, float]:
        for one in reports:
            assert Outputs(context, some=[table.table for table in one.tables]).deliver(one) is None
        return samples((tmp_path / "t.prom").read_text())

    found = some(report(table(name="s.u"), number=1))
    assert (found["clean"], found["table_clean{table=s.u}"], found["findings{kind=missing,table=s.t}"]) == (0, 1, 1)
    monkeypatch.setattr("auditor.round.audit", fail(NotCapturedError("no table")))
    with pytest.raises(UsageError):
        Round(tables=["s.typo"]).once(context, Outputs(context, some=["s.typo"]))
    assert samples((tmp_path / "t.prom").read_text()) == found
    found = written(context, report(table(since="2h"), table(name="s.u"), number=2))
    assert (found["clean"], found["table_clean{table=s.t}"]) == (0, 0)  # what was found may be older
    found = some(report(table(), number=3))
    assert (found["clean"], found["table_clean{table=s.t}"]) == (1, 1)
    assert written(context, report(table(name="s.u"), number=4))["clean"] == 1
    assert "keys{table=s.t}" not in samples((tmp_path / "t.prom").read_text())  # it is captured no more


def test_what_was_found_stays_until_an_audit_comes_to_an_end(make_context: MakeContext, tmp_path: Path) -> None:
    context = make_context(metrics_file=str(tmp_path / "t.prom"))
    wrong = report(table(finding("missing", "1")), table(name="s.u"))
    for later in (report(table(reason="the sink is behind"), table(name="s.u"), number=1), report(number=2)):
        found = written(context, wrong, later)
        assert (found["clean"], found["findings{kind=missing,table=s.t}"]) == (0, 1)
        assert found["table_clean{table=s.t}"] == 0
    assert found["table_clean{table=s.u}"] == 0
    assert Outputs(context, some=["s.*"]).deliver(report(table(), table(name="s.u"), number=3)) is None
    assert samples((tmp_path / "t.prom").read_text())["clean"] == 0  # what other tables there are, nobody has seen


def test_what_a_part_of_the_time_does_not_show_stays(make_context: MakeContext, tmp_path: Path) -> None:
    context = make_context(metrics_file=str(tmp_path / "t.prom"))
    recent, no_end = report(table(since="2h"), number=3), report(number=1)
    for unproven in (report(table(reason="the sink is behind"), number=1), no_end):
        assert written(context, report(table()), unproven)["clean"] == 0
        assert written(context, recent)["clean"] == 1  # nothing was found
    wrong = report(table(finding("missing", "1"), finding("missing", "2")))
    for narrow in (recent, report(table(finding("missing", "1"), since="2h")), report(table(reason="behind"))):
        found = written(context, wrong, narrow, recent)
        assert (found["clean"], found["table_clean{table=s.t}"], found["findings{kind=missing,table=s.t}"]) == (0, 0, 2)
    assert written(context, report(table(since="clean"), number=4))["clean"] == 1


def test_what_only_a_deep_audit_sees_stays_until_one_does_not(make_context: MakeContext, tmp_path: Path) -> None:
    context = make_context(metrics_file=str(tmp_path / "t.prom"))
    wrong = report(table(finding("content", "1"), finding("missing", "2"), deep=True))
    for since in ("", "clean"):
        found = written(context, wrong, report(table(since=since)))
        assert (found["clean"], found["table_clean{table=s.t}"]) == (0, 0)
        assert (found["findings{kind=content,table=s.t}"], found["findings{kind=missing,table=s.t}"]) == (1, 0)
    found = written(context, report(table(deep=True)))
    assert (found["clean"], found["findings{kind=content,table=s.t}"]) == (1, 0)


@pytest.mark.parametrize("names", [["s.t"], ["s.[s-t]"], ["s.t", "s.typo"]])
def test_an_audit_of_some_tables_that_came_to_no_end(
    make_context: MakeContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    context = make_context(metrics_file=str(tmp_path / "t.prom"))
    written(context, report(table(), table(name="s.u")))
    error = NotCapturedError("no table") if len(names) > 1 else UsageError("another pipeline's")
    monkeypatch.setattr("auditor.round.audit", fail(error))
    with pytest.raises(UsageError):
        Round(tables=names).once(context, Outputs(context, some=names))
    assert Outputs(context, some=["s.u"]).deliver(report(table(name="s.u"), number=3)) is None
    found = samples((tmp_path / "t.prom").read_text())
    assert (found["clean"], found["table_clean{table=s.t}"], found["table_clean{table=s.u}"]) == (0, 0, 1)


def test_a_service_shows_the_same(make_context: MakeContext) -> None:
    served = Served()
    assert list(served.collect()) == []
    context = make_context()
    bad = report(table(finding("missing", "1")), number=5)
    for one in (report(table()), bad):
        assert Outputs(context, served=served).deliver(one) is None
    made = CollectorRegistry()
    made.register(served)
    found = samples(generate_latest(made).decode())
    assert (found["clean"], found["findings{kind=missing,table=s.t}"]) == (0, 1)
    assert found["last_success_timestamp_seconds{table=s.t}"] == report().finished.timestamp()


def fail(error: Exception) -> Callable[..., AuditReport]:
    def audit(*_: object) -> AuditReport:
        raise error

    return audit


@pytest.mark.parametrize(
    "error", [UnreachableError("gone"), UsageError("no table"), StoppedError("stopped"), ZeroDivisionError("a bug")]
)
def test_an_audit_that_ended_otherwise_is_green_nowhere(
    make_context: MakeContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    context = make_context(metrics_file=str(tmp_path / "t.prom"))
    html, output = tmp_path / "r.html", tmp_path / "r.json"
    outputs = Outputs(context, html=html, output=output)
    good = report(table())
    monkeypatch.setattr("auditor.round.audit", lambda *_: good)
    assert Round().once(context, outputs).report == good
    assert "CLEAN" in html.read_text()
    monkeypatch.setattr("auditor.round.audit", fail(error))
    with pytest.raises(type(error)):
        Round().once(context, outputs)
    found = samples((tmp_path / "t.prom").read_text())
    assert (found["clean"], found["last_success_timestamp_seconds{table=s.t}"]) == (0, good.finished.timestamp())
    assert AuditReport.model_validate_json(output.read_bytes()).status.value == "inconclusive"
    assert "CLEAN" not in html.read_text()
    assert "the audit came to no end" in html.read_text()


def repaired(found: AuditReport) -> RepairReport:
    return RepairReport(name="x", report=found.id, applied=True, status=AuditStatus.CLEAN, started=found.started,
                        finished=found.finished, repaired=1)  # fmt: skip


def test_a_disk_that_takes_nothing_hides_nothing(
    make_context: MakeContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = make_context(metrics_file=str(tmp_path / "t.prom"))
    output = tmp_path / "r.json"
    monkeypatch.setattr("auditor.round.audit", lambda *_: report(table()))
    Round().once(context, Outputs(context))
    bad = report(table(finding("missing", "1")), number=5)
    for name in (f"{bad.id}.json", "proven.json", "clean-topic.json", "known-topic.json"):
        place = shelf.folder("x") / name
        place.unlink(missing_ok=True)
        place.mkdir()  # nobody, not even root, writes a file there
    monkeypatch.setattr("auditor.round.audit", lambda *_: bad)
    monkeypatch.setattr("auditor.round.repair", lambda _, found, **__: repaired(found))
    with capture_logs() as said:
        done = Round(with_repair=True, apply=True).once(context, Outputs(context, output=output))
    assert (done.report.status, done.report.repair) == (AuditStatus.FINDINGS, repaired(bad))
    assert done.undelivered is not None
    assert samples((tmp_path / "t.prom").read_text())["clean"] == 0
    assert AuditReport.model_validate_json(output.read_bytes()) == done.report
    told = [line["action"] for line in said]
    assert told == ["report_not_kept"] * 3 + ["report_undelivered"] * 2


def test_a_file_that_cannot_be_written(make_context: MakeContext, tmp_path: Path) -> None:
    context = make_context(metrics_file=str(tmp_path / "none" / "t.prom"))
    with pytest.raises(UsageError, match="no such folder"):
        Outputs(context).check()
    output = tmp_path / "r.json"
    with capture_logs() as said:
        assert isinstance(Outputs(context, output=output).deliver(report(table())), UsageError)
    assert output.exists()  # the others get it all the same
    assert [line["action"] for line in said] == ["report_undelivered"]
    with pytest.raises(ValueError, match=r"\.prom"):
        make_context(metrics_file="t.txt")


class Gateway(HTTPServer):
    """Keeps what is sent to it, and answers as it is told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 202
        self.got: list[tuple[str, str, str | None, str]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/push"


class _Handler(BaseHTTPRequestHandler):
    server: Gateway

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.got.append((self.command, self.path, self.headers["Authorization"], body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    server = Gateway()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join(10)
    server.server_close()


def test_pushing(make_context: MakeContext, gateway: Gateway, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("p:w\n")
    context = make_context(
        pushgateway=gateway.url, pushgateway_user="u", pushgateway_password_file=str(secret)
    )  # fmt: skip
    assert Outputs(context).deliver(report(table())) is None
    [(method, path, authorization, body)] = gateway.got
    assert (method, path) == ("PUT", "/push/metrics/job/tidemark_audit/against/topic/source/x")
    assert authorization == f"Basic {base64.b64encode(b'u:p:w').decode()}"
    assert samples(body)["clean"] == 1


@pytest.mark.parametrize(("status", "kind"), [(400, UnreachableError), (500, UnreachableError), (401, RefusedError)])
def test_a_gateway_that_refuses(
    make_context: MakeContext, gateway: Gateway, status: int, kind: type[TidemarkError]
) -> None:
    gateway.status = status
    assert isinstance(Outputs(make_context(pushgateway=gateway.url)).deliver(report(table())), kind)


def test_a_gateway_that_is_not_there(make_context: MakeContext, gateway: Gateway) -> None:
    place = "http://127.0.0.1:1"
    found = Outputs(make_context(pushgateway=place)).deliver(report(table()))
    assert isinstance(found, UnreachableError)
    for wrong in ("gateway:9091", "http://u:p@gateway:9091", "ftp://gateway", "http://gateway/?a=b"):
        with pytest.raises(ValueError, match="pushgateway"):
            make_context(pushgateway=wrong)
