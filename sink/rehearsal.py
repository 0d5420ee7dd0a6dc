"""What Elasticsearch would say to an index, asked without making one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elastic_transport import TransportError
from elasticsearch import ApiError, Elasticsearch

from ops.elastic import translate
from sink.definition import Definition

_NAME = "tidemark-rehearsal"
_JSON = {"accept": "application/json", "content-type": "application/json"}
# Other errors are about the document that has to come with the question.
_OF_INDICES = ("illegal_argument_exception", "mapper_parsing_exception", "settings_exception")
_NAMING = ("analyzer", "search_analyzer", "search_quote_analyzer", "normalizer")


def refusal(client: Elasticsearch, wanted: Definition, where: str) -> str:
    """Why the cluster would refuse the index; empty if it would not, or cannot say.

    It can from 8.15 on, to whoever may read ingest pipelines; an older one says it when the index is made.
    """
    said = ""
    for mapping in (wanted.mapping, wanted.narrow):
        said = _said(client, wanted, mapping, where)
        if "[unsigned_long]" not in said:
            return said
    return said


def _said(client: Elasticsearch, wanted: Definition, mapping: Mapping[str, Any], where: str) -> str:
    settings = {f"index.{name}": value for name, value in wanted.settings.items()}
    # A simulation parses the mapping without the index's own analyzers.
    mappings = {"dynamic": False, "properties": _without(mapping["properties"], wanted.own_analysis)}
    template = {
        "index_patterns": [_NAME], "priority": 1 << 30, "template": {"settings": settings, "mappings": mappings},
    }  # fmt: skip
    body = {"docs": [{"_index": _NAME, "_id": "1", "_source": {}}], "index_template_substitutions": {_NAME: template}}
    try:
        # The client warns of its own method for this: the interface is a preview. What it does not do, nobody misses.
        answer = client.perform_request("POST", "/_ingest/_simulate", headers=_JSON, body=body).body
    except ApiError as error:
        found = translate(error, where)
        if found.retryable:
            raise found from error
        return ""
    except TransportError as error:
        raise translate(error, where) from error
    docs = answer.get("docs") if isinstance(answer, Mapping) else None
    said = docs[0].get("doc", {}).get("error", {}) if docs else {}
    return str(said.get("reason")) if said.get("type") in _OF_INDICES else ""


def _without(fields: Any, own: set[str]) -> Any:
    """The same without what names one of `own`."""
    if not isinstance(fields, Mapping):
        return fields
    kept = {key: value for key, value in fields.items() if not (key in _NAMING and value in own)}
    return {key: _without(value, own) for key, value in kept.items()}
