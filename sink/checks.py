"""The doctor's look at Elasticsearch: does it answer, which version, may we do what the sink does."""

from __future__ import annotations

from typing import Any

from elastic_transport import TransportError
from elasticsearch import ApiError, Elasticsearch

from ops.catalog import Catalog
from ops.checks import Finding, Severity
from ops.elastic import client, translate
from ops.settings import Settings
from ops.shapes import Shapes
from schemas import names
from schemas.errors import ConfigError, TidemarkError
from schemas.extension import INSTALL, reader
from sink.index import Indices
from sink.strangers import HINT, strangers

_OLDEST = (8, 0)
_CATALOG_S = 10
_PRIVILEGES = ("create_index", "index", "delete", "read", "maintenance", "manage", "view_index_metadata")
_NO_SECURITY = (400, 404, 405, 500)


def findings(settings: Settings) -> list[Finding]:
    """Everything that was looked at; later checks are left out where the cluster does not answer."""
    return [_records(settings), *_transforms(settings), *_strangers(settings), *_cluster(settings)]


def _records(settings: Settings) -> Finding:
    """Who would read records for the sink and the audit; a slow one that nobody asked for is a warning."""
    found = reader(foreign=settings.sink.format == "debezium")
    return Finding(
        check="records",
        severity=Severity.WARN if found.slow else Severity.OK,
        what=str(found),
        remedy=INSTALL if found.slow else "",
    )


def _transforms(settings: Settings) -> list[Finding]:
    """Whether the modules of `[sink.tables]` can be imported here."""
    check, where = "sink.transforms", "[sink.tables]"
    named = sorted({table.transform for table in settings.sink.tables.values() if table.transform})
    try:
        Shapes(settings.sink)
    except ConfigError as error:
        return [_fail(check, error.what, where, error.hint)]
    return [_ok(check, f"found {', '.join(named)}", where)] if named else []


def _strangers(settings: Settings) -> list[Finding]:
    """Sections of tables that are not captured; nothing where Kafka does not answer, which is told by others."""
    if not settings.sink.tables:
        return []
    try:
        with Catalog(settings, f"{settings.source.name}-doctor") as catalog:
            catalog.refresh(timeout_s=_CATALOG_S)
            found = dict(strangers(settings.sink.tables, catalog.latest))
    except TidemarkError:
        return []
    return [
        Finding(
            check="sink.tables", severity=Severity.WARN, what=said, where=f'[sink.tables."{name}"]', remedy=HINT
        )
        for name, said in found.items()
    ]  # fmt: skip


def _cluster(settings: Settings) -> list[Finding]:
    where = ", ".join(settings.elasticsearch.urls)
    elastic = client(settings.elasticsearch, request_timeout=10)
    try:
        Indices(elastic, settings.sink, settings.source.name, where).reach()
    except TidemarkError as error:
        return [_fail("elasticsearch.reachable", error.what, where, error.hint or "Check [elasticsearch] urls.")]
    try:
        return [
            _ok("elasticsearch.reachable", "Elasticsearch answers", where),
            _version(elastic, where),
            _privileges(elastic, settings, where),
        ]
    except (ApiError, TransportError) as error:
        return [_fail("elasticsearch.reachable", translate(error, where).what, where, "")]


def _version(elastic: Elasticsearch, where: str) -> Finding:
    check = "elasticsearch.version"
    try:
        nodes = elastic.nodes.info(metric="os", filter_path="nodes.*.version").body["nodes"]
    except ApiError as error:
        return Finding(
            check=check, severity=Severity.WARN, what=f"the version is not shown ({error.meta.status})", where=where,
            remedy='Grant the cluster privilege "monitor" to have it checked.',
        )  # fmt: skip
    versions = sorted({node["version"] for node in nodes.values()})
    old = [version for version in versions if tuple(map(int, version.split(".")[:2])) < _OLDEST]
    if old:
        return _fail(check, f"Elasticsearch {old[0]} is too old", where, "Use 8.0 or newer.")
    return _ok(check, f"Elasticsearch {', '.join(versions)}", where)


def _privileges(elastic: Elasticsearch, settings: Settings, where: str) -> Finding:
    check = "elasticsearch.privileges"
    named = [table.index for table in settings.sink.tables.values() if table.index]
    patterns = [f"{names.alias(settings.source.name)}.*", *(f"{name}*" for name in named)]
    wanted: list[dict[str, Any]] = [{"names": patterns, "privileges": list(_PRIVILEGES)}]
    try:
        found = elastic.security.has_privileges(index=wanted).body
    except ApiError as error:
        if error.meta.status in _NO_SECURITY:
            return _ok(check, "security is off, nothing is refused", where)
        raise
    if found["has_all_requested"]:
        return _ok(check, f"may write {', '.join(patterns)}", where)
    lacking = sorted({name for index in found["index"].values() for name, has in index.items() if not has})
    role = f'{{"indices":[{{"names":{patterns},"privileges":{list(_PRIVILEGES)}}}]}}'.replace("'", '"')
    return _fail(check, f"lacks {', '.join(lacking)}", where, f"PUT /_security/role/tidemark_sink\n{role}")


def _ok(check: str, what: str, where: str) -> Finding:
    return Finding(check=check, severity=Severity.OK, what=what, where=where)


def _fail(check: str, what: str, where: str, remedy: str) -> Finding:
    return Finding(check=check, severity=Severity.FAIL, what=what, where=where, remedy=remedy)
