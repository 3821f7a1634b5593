"""The form of the table of operations, from which routes and the OpenAPI document are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import BaseModel
from starlette.responses import Response

from semantic_llm_cache.server.access import Caller
from semantic_llm_cache.server.operator import Operator

__all__ = ["Call", "Operation"]


class Call(NamedTuple):
    """A request, read.

    Attributes:
        operator: does the work.
        caller: who asks; None where no access is needed.
        path: the parameters in the path.
        query: the parameters, as the operation's `query` has them.
        body: the body, as the operation's `body` has it.
    """

    operator: Operator
    caller: Caller | None
    path: dict[str, str]
    query: Any
    body: Any

    @property
    def who(self) -> str:
        """Who asks, for the audit log."""
        return str(self.caller)


Handler = Callable[[Call], Awaitable["dict[str, Any] | Response"]]


@dataclass(frozen=True)
class Operation:
    """What one method on one path does.

    Attributes:
        method, path: of HTTP; the path begins after ``/admin``.
        handler: does it; returns the JSON of `answer`, or a response.
        answer: the form of its answer; None for a stream of lines.
        summary: what it does, in one line.
        query, body: the forms of parameters and body.
        public: whether it needs no access.
        errors: the statuses of its problems, besides those that all have.
    """

    method: str
    path: str
    handler: Handler
    answer: type[BaseModel] | None
    summary: str
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    public: bool = False
    errors: tuple[int, ...] = field(default=())

    @property
    def name(self) -> str:
        """The operation's id."""
        return self.handler.__name__
