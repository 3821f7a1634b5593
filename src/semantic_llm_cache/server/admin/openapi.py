"""The OpenAPI 3.1 document, made from the table of operations."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from semantic_llm_cache._version import __version__
from semantic_llm_cache.server.admin.answers import ProblemDetails
from semantic_llm_cache.server.admin.operations import Operation
from semantic_llm_cache.server.admin.table import OPERATIONS, PREFIX

__all__ = ["document"]

_REFERENCE = "#/components/schemas/{model}"
_PROBLEMS = {
    401: "No token, or a wrong one.",
    403: "Not allowed from there, or prompts and answers are hidden.",
    404: "There is no such thing.",
    405: "Another method is needed.",
    409: "It does not fit how the cache is set up.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    422: "The request does not fit.",
    503: "The storage fails.",
}


@cache
def document() -> dict[str, Any]:
    """Return the document as plain data. Do not change it."""
    models = {model for one in OPERATIONS for model in (one.body, one.answer) if model is not None} | {ProblemDetails}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, schemas = models_json_schema(
        [(model, "serialization" if model.__module__.endswith("answers") else "validation") for model in ordered],
        ref_template=_REFERENCE,
    )
    paths: dict[str, dict[str, Any]] = {}
    for one in OPERATIONS:
        paths.setdefault(PREFIX + one.path, {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "semantic-llm-cache admin API",
            "version": __version__,
            "description": "Look into the caches of a server, and change their settings while they are in use.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(one: Operation) -> dict[str, Any]:
    made: dict[str, Any] = {"operationId": one.name, "summary": one.summary, "responses": _responses(one)}
    parameters = [_in_path(name) for name in re.findall(r"{(\w+)}", one.path)]
    if one.query is not None:
        parameters += _in_query(one.query)
    if parameters:
        made["parameters"] = parameters
    if one.body is not None:
        content = {"application/json": {"schema": _reference(one.body)}}
        made["requestBody"] = {"required": True, "content": content}
    if one.public:
        made["security"] = []
    return made


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _in_query(model: type[BaseModel]) -> list[dict[str, Any]]:
    schema = model.model_json_schema()
    found = []
    for name, about in schema["properties"].items():
        about = {key: value for key, value in about.items() if key != "title"}
        parameter: dict[str, Any] = {"name": name, "in": "query", "required": name in schema.get("required", ())}
        if "description" in about:
            parameter["description"] = about.pop("description")
        # A parameter that may be None is one that may be left out: no text stands for it.
        if "anyOf" in about:
            [kind] = [one for one in about.pop("anyOf") if one != {"type": "null"}]
            about.update(kind)
            about.pop("default", None)
        found.append({**parameter, "schema": about})
    return found


def _responses(one: Operation) -> dict[str, Any]:
    if one.answer is not None:
        content = {"application/json": {"schema": _reference(one.answer)}}
    else:
        content = {"application/jsonl": {"schema": {"type": "string"}}}
    found: dict[str, Any] = {"200": {"description": one.summary, "content": content}}
    statuses = set(one.errors) | (set() if one.public else {401, 403, 503})
    if one.query is not None or one.body is not None or "{" in one.path:
        statuses.add(422)
    if one.body is not None:
        statuses |= {413, 415}
    if one.public:
        statuses.discard(503)
    for status in sorted(statuses):
        problem = {"application/problem+json": {"schema": _reference(ProblemDetails)}}
        found[str(status)] = {"description": _PROBLEMS[status], "content": problem}
    if one.public and 503 in one.errors:
        found["503"] = {"description": "Not ready.", "content": content}
    return found


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(model=model.__name__)}
