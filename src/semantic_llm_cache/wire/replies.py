"""What passes between a caller, the cache and a provider: plans, upstreams, replies, and streams as they are stored."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from semantic_llm_cache.calls.control import NOT_CACHED, CacheControl
from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.calls.refusals import NotStored, because, word_of
from semantic_llm_cache.calls.settings import CallSettings
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.wire import records
from semantic_llm_cache.wire.base import Asked, Format
from semantic_llm_cache.wire.formats import FORMATS

__all__ = [
    "ID_HEADER",
    "OUTCOMES",
    "Headers",
    "Plan",
    "Reply",
    "Upstream",
    "WireCodec",
    "answer_in",
    "as_json",
    "bypassed",
    "for_others",
    "format_of",
    "forwarded",
    "fresh",
    "not_cached",
    "store_header",
    "words",
]

ID_HEADER = "x-cache-id"
"""Of a reply: the `Lookup.id` of the call."""

_NOT_FORWARDED = frozenset(
    {
        "content-encoding",
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "x-cache",
        "x-cache-similarity",
        "x-cache-store",
        ID_HEADER,
    }
)
_UNSAFE = re.compile(r"[^ !#-\[\]-~]")
_LONGEST_DETAIL = 120
Headers = list[tuple[str, str]]


@dataclass
class Upstream:
    """A provider's response that has begun.

    Args:
        status: of HTTP.
        headers: as they came.
        body: its bytes, decoded: an async iterator, or a plain one for the blocking way.
        close: gives the connection back; awaitable for the async way.
    """

    status: int
    headers: Headers
    body: Any
    close: Callable[[], Any]


@dataclass
class Reply:
    """What the caller gets.

    Args:
        status: of HTTP.
        headers: the provider's, or those kept with the answer; and ``x-cache``, ``x-cache-id``.
        body: bytes, or an iterator of bytes (async for the async way).
    """

    status: int
    headers: Headers
    body: Any


@dataclass
class Plan:
    """A request that the cache will answer or let through."""

    known: Format
    asked: Asked
    request: Request
    settings: CallSettings
    control: CacheControl
    received: Headers = field(default_factory=list)
    """Headers of the provider's response, when this call asked it."""
    sender: tuple[Any, ...] = field(default=(), repr=False)
    """The credentials that it is sent with, where callers with other ones share its answer."""
    sent: bool = False
    """Whether this call itself asked the provider."""


def format_of(record: Any) -> Format | None:
    """Return the format that a record is kept in; None when it is not a record."""
    name = record.get("wire") if isinstance(record, Mapping) else None
    return next((known for known in FORMATS if known.name == name), None)


def answer_in(record: Any) -> dict[str, Any] | None:
    """Return the JSON body that a record holds; None when it holds none."""
    known = format_of(record)
    return None if known is None else records.answer_of(known, record)


OUTCOMES = {"exact": "HIT", "near": "NEAR", "coalesced": "COALESCED", "stale": "STALE", "bypass": "BYPASS"}


def as_json(record: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers kept with a record, for its answer as JSON."""
    return {**record["headers"], **({} if "body" in record else {"content-type": "application/json"})}


def words(record: Any) -> Any:
    """Return the words of a record, or anything else as it is."""
    return record.get("content", "") if isinstance(record, Mapping) else record


def forwarded(headers: Headers) -> Headers:
    """Return the headers of a provider that reach the caller."""
    return [(name, value) for name, value in headers if name.lower() not in _NOT_FORWARDED]


_OF_A_FAILURE = frozenset(
    {"content-type", "request-id", "retry-after", "retry-after-ms", "x-request-id", "x-should-retry"}
)


def for_others(reply: Reply) -> Reply:
    """Return a provider's error for callers who waited for it: without cookies and limits of the one who asked."""
    return Reply(reply.status, [pair for pair in reply.headers if pair[0].lower() in _OF_A_FAILURE], reply.body)


def store_header(reason: str) -> Headers:
    """Return the header that says why an answer was not stored; none for ``""``.

    Example:
        >>> store_header("truncated: at 100 tokens")
        [('x-cache-store', 'no; reason=truncated; detail="at 100 tokens"')]
    """
    if not reason:
        return []
    word = word_of(reason)
    # What a provider said may be in it, so only what a quoted string may hold (RFC 9110, 5.6.4) is kept.
    detail = _UNSAFE.sub("?", reason[len(word) + 1 :].strip())[:_LONGEST_DETAIL]
    return [("x-cache-store", f"no; reason={word}" + (f'; detail="{detail}"' if detail else ""))]


def bypassed(reason: str) -> Headers:
    """Return the headers of a reply to a request that bypassed the cache."""
    return [("x-cache", "BYPASS"), *store_header(reason)]


def fresh(reply: Reply, found: Lookup | None, refused: str = "") -> Reply:
    """Return a provider's own reply, marked as one; `refused` says why it will not be stored, if that is known."""
    name = "BYPASS" if found is not None and found.outcome == "bypass" else "MISS"
    headers = [*reply.headers, ("x-cache", name)]
    if found is not None:
        headers.append((ID_HEADER, found.id))
    if name == "MISS" and found is not None and found.similarity is not None:
        headers.append(("x-cache-similarity", f"{found.similarity:.4f}"))
    headers += store_header(refused if found is None else found.stored_reason or refused)
    return Reply(reply.status, headers, reply.body)


def not_cached() -> Reply:
    """Return the reply to ``only-if-cached`` where there is no answer."""
    error = {"message": NOT_CACHED, "type": "only_if_cached"}
    # RFC 9111, 5.2.1.7 names the status; the other header keeps SDKs from asking again.
    headers = [("content-type", "application/json"), ("x-should-retry", "false"), ("x-cache", "MISS")]
    return Reply(504, headers, json.dumps({"error": error}).encode())


class WireCodec:
    """How a provider's stream is stored: its first chunk is the headers, the others are its blocks."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def head(self, headers: Headers) -> tuple[tuple[str, str], ...]:
        """Return the first chunk of a stream: the headers that are kept."""
        return tuple(records.kept_headers(headers).items())

    def chunks(self, value: Any) -> list[Any] | None:
        """Return a record as chunks; None when it cannot be sent as a stream."""
        plan = self.plan
        blocks = records.blocks_of(plan.known, value, plan.asked)
        if blocks is None:
            return None
        kept = dict(value["headers"])
        kept["content-type"] = _TYPES[plan.known.framing] if "body" in value else kept.get("content-type", "")
        return [tuple(kept.items()), *blocks]

    def value(self, chunks: list[Any]) -> Any:
        """Return chunks as a record. Raises NotStored when they are not the whole stream of one answer."""
        if not chunks:
            raise NotStored(because("incomplete"))
        return records.of_blocks(self.plan.known, dict(chunks[0]), chunks[1:], self.plan.asked)

    def ends(self, chunk: Any) -> bool:
        """Return whether a chunk is the last of its stream."""
        return isinstance(chunk, str) and self.plan.known.ends(chunk)


_TYPES = {"sse": "text/event-stream; charset=utf-8", "lines": "application/x-ndjson"}
