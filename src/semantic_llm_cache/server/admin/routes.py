"""The routes of the admin API: access, reading of requests, writing of answers."""

from __future__ import annotations

import json
import logging
import math
import typing
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from semantic_llm_cache.redaction import describe
from semantic_llm_cache.server.access import Access
from semantic_llm_cache.server.admin.openapi import document
from semantic_llm_cache.server.admin.operations import Call, Operation
from semantic_llm_cache.server.admin.problems import Problem, misfit, problem_of, response_of
from semantic_llm_cache.server.admin.table import OPERATIONS, PREFIX
from semantic_llm_cache.server.operator import Operator

__all__ = ["admin_routes"]

logger = logging.getLogger("semantic_llm_cache")

MOST_BODY = 256 * 1024
Endpoint = Callable[[Request], Awaitable[Response]]


def admin_routes(operator: Operator, token: str | Mapping[str, str] | Access | None = None) -> list[Route]:
    """Return the routes of the admin API, to mount in a Starlette or FastAPI application.

    Args:
        operator: what they show and change.
        token: who may use them: what `Access` takes, or an `Access`. None: only this machine.

    Raises:
        ValueError, TypeError: the token cannot be used.

    Example:
        >>> from semantic_llm_cache.server.operator import Operator
        >>> [route.path for route in admin_routes(Operator())][0]
        '/admin/openapi.json'
    """
    rules = token if isinstance(token, Access) else Access(token)
    by_path: dict[str, dict[str, Operation]] = {}
    for one in OPERATIONS:
        by_path.setdefault(one.path, {})[one.method] = one
    made = [Route(f"{PREFIX}/openapi.json", _protected(rules, _document))]
    for path, methods in by_path.items():
        pattern = path.replace("}", f":{_ANY}}}")
        # All methods lead here, so that the answer to a wrong one is a problem too.
        made.append(Route(PREFIX + pattern, _endpoint(operator, rules, methods), methods=_METHODS))
    return made


class _AnyText(Convertor[str]):
    """A part of a path that may hold slashes and line ends: keys are any text."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


_ANY = "semantic_llm_cache_any_text"
register_url_convertor(_ANY, _AnyText())

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


async def _document(request: Request) -> Response:
    return _json(document())


def _protected(rules: Access, endpoint: Endpoint) -> Endpoint:
    async def answer(request: Request) -> Response:
        async def checked() -> Response:
            rules.check(request)
            return await endpoint(request)

        return await _guarded(checked)

    return answer


def _endpoint(operator: Operator, rules: Access, methods: Mapping[str, Operation]) -> Endpoint:
    async def answer(request: Request) -> Response:
        return await _guarded(lambda: _answer(operator, rules, methods, request))

    return answer


async def _guarded(work: Callable[[], Awaitable[Response]]) -> Response:
    """Do the work; turn what it raises into a problem, and add the headers that all answers have."""
    try:
        response = await work()
    except Exception as error:
        problem = problem_of(error)
        if problem is None:
            logger.exception("semantic-llm-cache: the admin API failed: %s", describe(error))
            problem = Problem(500, f"the server made a mistake, see its log: {type(error).__name__}")
        response = response_of(problem)
    response.headers["cache-control"] = "no-store"
    response.headers["x-content-type-options"] = "nosniff"
    return response


async def _answer(operator: Operator, rules: Access, methods: Mapping[str, Operation], request: Request) -> Response:
    one = methods.get("GET" if request.method == "HEAD" else request.method)
    caller = None if one is not None and one.public else rules.check(request)
    if one is None:
        response = response_of(Problem(405, f"{request.method} is not possible here"))
        response.headers["allow"] = ", ".join(sorted(methods))
        return response
    path = {name: str(value) for name, value in request.path_params.items()}
    if not all(path.values()):
        raise Problem(404, "there is nothing here")
    query = _query(one.query, request)
    body = None if one.body is None else _parsed(one.body, await _body(request))
    found = await one.handler(Call(operator, caller, path, query, body))
    response = found if isinstance(found, Response) else _json(found)
    if caller is not None:
        response.headers["x-worker"] = operator.worker
    return response


# ---------------------------------------------------------------------------------- reading


def _query(model: type[BaseModel] | None, request: Request) -> BaseModel | None:
    given: dict[str, Any] = {}
    several = set() if model is None else {name for name, field in model.model_fields.items() if _is_list(field)}
    for name, value in request.query_params.multi_items():
        if name in several:
            given.setdefault(name, []).append(value)
        elif name in given:
            raise Problem(422, f"the parameter {name[:100]!r} is given twice")
        else:
            given[name] = value
    if model is None:
        if given:
            raise Problem(422, "there are no parameters here", [{"where": min(given)[:100], "what": "unknown"}])
        return None
    return _parsed(model, given)


def _parsed(model: type[BaseModel], given: bytes | dict[str, Any]) -> BaseModel:
    try:
        return model.model_validate(given) if isinstance(given, dict) else model.model_validate_json(given, strict=True)
    except ValidationError as error:
        raise misfit(error, model.model_fields) from error


def _is_list(field: Any) -> bool:
    return typing.get_origin(field.annotation) is list


async def _body(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "send the body as application/json")
    pieces, size = [], 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > MOST_BODY:
                raise Problem(413, f"the body is longer than {MOST_BODY:,} bytes")
            pieces.append(piece)
    except ClientDisconnect:
        raise Problem(400, "the body was not sent to its end") from None
    return b"".join(pieces)


# ---------------------------------------------------------------------------------- writing


def _json(value: Any) -> Response:
    # ASCII, so that texts with halves of surrogate pairs have a form too.
    return Response(json.dumps(_finite(value), allow_nan=False), media_type="application/json")


def _finite(value: Any) -> Any:
    """Return plain data in which null stands for numbers that JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return value
