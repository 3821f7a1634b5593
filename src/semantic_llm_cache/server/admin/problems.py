"""Errors as RFC 9457 has them: ``application/problem+json``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from starlette.responses import Response

from semantic_llm_cache.exceptions import (
    CacheBackendError,
    CacheSerializationError,
    EmbeddingUnavailableError,
    EncryptionKeyError,
)
from semantic_llm_cache.server.access import AccessDenied
from semantic_llm_cache.server.operator.errors import Conflict, Invalid, NotThere, TextHidden, Unavailable

__all__ = ["Problem", "misfit", "problem_of", "response_of"]

_MOST_ERRORS = 20


class Problem(Exception):
    """A request that cannot be answered.

    Args:
        status: of HTTP.
        detail: a sentence for the caller.
        errors: what is wrong with which part of the request.
    """

    def __init__(self, status: int, detail: str, errors: list[dict[str, str]] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors


_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (NotThere, 404),
    (TextHidden, 403),
    (Conflict, 409),
    (Invalid, 422),
    (Unavailable, 503),
    (EmbeddingUnavailableError, 409),
    (CacheSerializationError, 409),
    (CacheBackendError, 503),
    (EncryptionKeyError, 503),
)


def problem_of(error: Exception) -> Problem | None:
    """Return the problem that an exception is for the caller; None for a mistake of ours."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, AccessDenied):
        return Problem(error.status, error.detail)
    if isinstance(error, ValidationError):
        return misfit(error)
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return Problem(status, str(error))
    return None


def misfit(error: ValidationError, fields: Iterable[str] = ()) -> Problem:
    """Return the problem of a request that does not fit; `fields` are the names that it may have."""
    # Not what was given: it may be long, or a secret.
    found = error.errors(include_url=False, include_context=False, include_input=False)[:_MOST_ERRORS]
    known = ", ".join(fields)
    texts = {
        "extra_forbidden": f"unknown; known: {known}" if known else "unknown",
        "missing": "missing: it has to be given",
    }
    errors = [{"where": ".".join(map(str, one["loc"])), "what": texts.get(one["type"], one["msg"])} for one in found]
    return Problem(422, "the request does not fit: see errors", errors)


def response_of(problem: Problem) -> Response:
    """Return the response to a problem."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
    }
    if problem.errors is not None:
        body["errors"] = problem.errors
    headers = {"www-authenticate": 'Bearer realm="semantic-llm-cache"'} if problem.status == 401 else None
    return Response(json.dumps(body), problem.status, headers, "application/problem+json")
