"""Reports: kept in an index too, listed, shown when the shelf is gone; parts that several machines audited, merged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from audit_cli import Cli
from auditing import World, found
from auditor.archive import MAPPINGS
from schemas.audits import AuditList
from schemas.errors import IndexForeignError, UsageError
from schemas.report import AuditReport

pytestmark = pytest.mark.stack

MakeWorld = Callable[..., World]


@pytest.fixture
def cli(make_world: MakeWorld, tmp_path: Path, unique: str) -> Iterator[Cli]:
    index = f"audits-{unique[-6:]}"
    world = make_world(audit={"max_repair_share": 1.0, "reports_index": index})
    world.put(*map(str, range(40)))
    world.sync()
    yield Cli(world, tmp_path)
    world.es.options(ignore_status=404).indices.delete(index=index)


def test_kept_in_an_index(cli: Cli, tmp_path: Path) -> None:
    index = cli.world.settings.audit.reports_index
    page = tmp_path / "r.html"
    code, out = cli("run", "--json", "--html", str(page))
    first = AuditReport.model_validate_json(out)
    assert (code, "CLEAN" in page.read_text()) == (0, True)
    cli.world.remove("3")
    code, out = cli("run", "--repair", "--json")
    second = AuditReport.model_validate_json(out)
    assert (code, second.repair is not None) == (4, True)

    mappings = cli.world.es.indices.get_mapping(index=index)[index]["mappings"]
    assert mappings["_meta"] == MAPPINGS["_meta"]
    assert set(mappings["properties"]) == set(MAPPINGS["properties"])
    query = {"bool": {"filter": [{"term": {"status": "findings"}}, {"range": {"counts.missing": {"gte": 1}}}]}}
    hits = cli.world.es.search(index=index, query=query)["hits"]["hits"]
    assert [hit["_id"] for hit in hits] == [second.id]

    kept = AuditList.model_validate_json(cli("report", "--list", "--json")[1])
    assert [(one.audit.id, one.here, one.in_index) for one in kept.audits] == [
        (second.id, True, True),
        (first.id, True, True),
    ]
    shutil.rmtree(tmp_path / "tidemark" / "audits")
    kept = AuditList.model_validate_json(cli("report", "--list", "--json")[1])
    assert [(one.audit.id, one.here) for one in kept.audits] == [(second.id, False), (first.id, False)]
    assert "1 missing" in cli("report", "--list")[1]
    assert AuditReport.model_validate_json(cli("report", "--json")[1]) == second
    assert cli("report", first.id, "--json") == (0, first.model_dump_json(by_alias=True) + "\n")
    assert json.loads(cli("repair", "--report", second.id, "--apply", "--json")[1])["repaired"] == 1
    for nobodys in ("20200101T000000-abcdef", str(tmp_path / "none.json")):
        with pytest.raises(UsageError):
            cli("report", nobodys)


def test_an_index_of_somebody_else_is_not_written_to(cli: Cli) -> None:
    index = cli.world.settings.audit.reports_index
    cli.world.es.indices.create(index=index)
    with pytest.raises(IndexForeignError):
        cli("run")
    assert cli.world.es.count(index=index)["count"] == 0
    cli.world.remove("3")
    assert cli("run")[0] == 4  # what was found comes first


def test_parts_of_one_audit(cli: Cli, tmp_path: Path) -> None:
    world = cli.world
    world.remove("3", "17")
    world.overwrite("stranger", {"text": "no _cdc"})
    whole = world.audit()
    names = [str(tmp_path / f"{number}.json") for number in range(3)]
    codes = [cli("run", "--partitions", str(number), "--output", name)[0] for number, name in enumerate(names)]
    parts = [AuditReport.model_validate_json(Path(name).read_bytes()) for name in names]
    assert sorted(one for part in parts for ids in found(part).values() for one in ids) == ["17", "3", "stranger"]
    assert codes == [4 if found(part) else 0 for part in parts]
    assert "foreign" in found(parts[0])
    assert "only partitions 1 of 3" in cli("report", names[1])[1]

    code, out = cli("report", "--merge", *names, "--json")
    merged = AuditReport.model_validate_json(out)
    assert (code, found(merged)) == (4, found(whole))
    assert merged.tables[0].windows == whole.tables[0].windows
    assert merged.parts == [part.id for part in parts]
    assert cli("report", "--merge", *names[1:])[0] in (4, 8)
    with pytest.raises(UsageError, match="named twice"):
        cli("report", "--merge", names[0], *names)

    assert cli("repair", "--report", names[0], "--apply")[0] in (0, 4)
    for name in names[1:]:
        cli("repair", "--report", name, "--apply")
    world.remove("stranger")
    for number, name in enumerate(names):
        assert cli("run", "--partitions", str(number), "--output", name)[0] == 0
    assert cli("report", "--merge", *names[1:])[0] == 8  # a partition is missing
    code, out = cli("report", "--merge", "--keep", *names, "--json")
    assert (code, cli("report", "--json")[1]) == (0, out)
    kept = AuditList.model_validate_json(cli("report", "--list", "--json")[1])
    assert [one.audit.whole for one in kept.audits][:2] == [True, False]


def test_a_row_that_moved_to_a_partition_of_others_is_theirs(make_world: MakeWorld, tmp_path: Path) -> None:
    world = make_world(partitions=2)
    world.put("k", "m", partition=0)
    world.put("k", text="moved", partition=1)
    world.sync()
    cli = Cli(world, tmp_path)
    assert cli("run", "--partitions", "0")[0] == 0
    assert cli("run", "--partitions", "1")[0] == 0
    world.remove("k")
    assert cli("run", "--partitions", "1")[0] == 4
