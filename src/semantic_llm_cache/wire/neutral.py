"""What of a request is left out of its scope: exact names, each with the reason.

A name is listed only if it can neither change the answer nor name the caller. Whatever is not listed counts.
The tables are printed in ``docs/keys.md``; a test keeps the two equal.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = [
    "CREDENTIALS",
    "EXTENSIONS",
    "HEADERS",
    "MEMBERS",
    "QUERY_CREDENTIALS",
    "STREAM_OPTIONS",
    "VALUES",
    "Members",
    "is_sdk_build",
]

_TRACE = "place of one request in a trace: an id made for it"
_BUILD = "the SDK's own build and platform, the same for every caller of that build"

HEADERS: dict[str, str] = {
    "content-length": "length of the body, which counts itself",
    "accept-encoding": "how the response is compressed on its way; the transport undoes it",
    "x-cache-control": "what this call asks of this cache; obeyed, and never sent on",
    "traceparent": _TRACE,
    "tracestate": f"{_TRACE}, in the tracing system's own words (W3C forbids anything else in it)",
    "sentry-trace": _TRACE,
    "b3": _TRACE,
    "x-b3-traceid": _TRACE,
    "x-b3-spanid": _TRACE,
    "x-b3-parentspanid": _TRACE,
    "x-b3-sampled": "whether a trace is kept",
    "x-b3-flags": "whether a trace is debugged",
    "x-cloud-trace-context": _TRACE,
    "x-datadog-trace-id": _TRACE,
    "x-datadog-parent-id": _TRACE,
    "x-datadog-sampling-priority": "whether a trace is kept",
    "newrelic": _TRACE,
    "x-request-id": "id of one request, new for each",
    "x-client-request-id": "id of one request, new for each",
    "request-id": "id of one request, new for each",
    "idempotency-key": "id of one request, the same for its retries only",
    "x-stainless-lang": _BUILD,
    "x-stainless-package-version": _BUILD,
    "x-stainless-os": _BUILD,
    "x-stainless-arch": _BUILD,
    "x-stainless-runtime": _BUILD,
    "x-stainless-runtime-version": _BUILD,
    "x-stainless-async": "whether the SDK's client is an async one",
    "x-stainless-retry-count": "how often the SDK has tried this request",
    "x-stainless-read-timeout": "how long the SDK waits for an answer",
    "x-stainless-timeout": "how long the SDK waits for an answer",
    "x-stainless-helper-method": "which of the SDK's methods was called; what it asks for is in the body",
    "x-stainless-stream-helper": "which of the SDK's methods was called; what it asks for is in the body",
    "x-stainless-raw-response": "whether the SDK's caller sees the HTTP response",
}
"""Headers that are left out, whatever they say."""

_UTF8 = "the body is read as JSON in UTF-8, which is what this says; any other charset bypasses the cache"

VALUES: dict[str, tuple[frozenset[str], str]] = {
    "content-type": (
        frozenset({"application/json", "application/json; charset=utf-8", "application/json;charset=utf-8"}),
        _UTF8,
    ),
    "content-encoding": (frozenset({"identity"}), "the body is as it is; any other coding bypasses the cache"),
    "accept": (
        frozenset({"*/*", "application/json", "text/event-stream", "application/x-ndjson"}),
        "the form of the answer, which the body's `stream` decides",
    ),
    "connection": (
        frozenset({"keep-alive", "close"}),
        "what becomes of the connection; any other value names headers that a proxy takes off",
    ),
    "transfer-encoding": (frozenset({"chunked"}), "how the body is cut on its way"),
}
"""Headers that are left out when they say exactly this, in any case of letters."""

_SDKS = (
    "OpenAI/Python", "AsyncOpenAI/Python", "AzureOpenAI/Python", "AsyncAzureOpenAI/Python", "Anthropic/Python",
    "AsyncAnthropic/Python", "python-httpx/", "python-httpx2/", "pydantic-ai/", "litellm/",
)  # fmt: skip
_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+)*(?:(?:a|b|rc)[0-9]+)?")
_OLLAMA = re.compile(r"ollama-python/[0-9.]+ \([a-z0-9_]+ [a-z]+\) Python/[0-9.]+", re.IGNORECASE)


def is_sdk_build(agent: str) -> bool:
    """Return whether a ``user-agent`` is that of a known SDK and its version, and nothing else.

    The cache then stays warm when the SDK is upgraded. Any other agent may name an app or a tenant, and counts.

    Example:
        >>> is_sdk_build("AsyncOpenAI/Python 3.57.0"), is_sdk_build("billing/2.0 AsyncOpenAI/Python 3.57.0")
        (True, False)
    """
    known = next((name for name in _SDKS if agent.startswith(name)), None)
    if known is None:
        return _OLLAMA.fullmatch(agent) is not None
    return _VERSION.fullmatch(agent[len(known) :].removeprefix(" ")) is not None


class Members(NamedTuple):
    """A header made of members ``name=value``.

    Attributes:
        separator: the text between two members.
        neutral: name of a member that is left out, and the reason.
    """

    separator: str
    neutral: dict[str, str]


_EDGE = "set by Cloudflare in front of the provider"

MEMBERS: dict[str, Members] = {
    "cookie": Members(
        ";",
        {
            "__cf_bm": f"{_EDGE}: its score of the client as a bot",
            "_cfuvid": f"{_EDGE}: a random id, to count requests of one visitor",
            "__cfruid": f"{_EDGE}: a random id, to count requests of one visitor",
            "__cflb": f"{_EDGE}: which server the connection goes to",
            "cf_clearance": f"{_EDGE}: that a challenge was passed",
        },
    ),
    "baggage": Members(
        ",",
        {
            "sentry-trace_id": _TRACE,
            "sentry-sampled": "whether a trace is kept",
            "sentry-sample_rate": "whether a trace is kept",
            "sentry-sample_rand": "whether a trace is kept",
        },
    ),
    "x-amzn-trace-id": Members(
        ";", {"Root": _TRACE, "Self": _TRACE, "Parent": _TRACE, "Lineage": _TRACE, "Sampled": "whether a trace is kept"}
    ),
    "x-datadog-tags": Members(",", {"_dd.p.tid": _TRACE, "_dd.p.dm": "why a trace is kept"}),
}
"""Headers of which some members are left out; names of members are exact, in their case of letters too."""

CREDENTIALS: dict[str, str] = {
    "authorization": "the usual place of a key",
    "proxy-authorization": "key of a proxy",
    "x-api-key": "Anthropic's key, and that of many gateways",
    "api-key": "Azure's key",
    "x-goog-api-key": "Google's key",
    "ocp-apim-subscription-key": "key of Azure's API management",
    "x-auth-token": "key of some gateways",
    "cookie": "what a session is known by",
}
"""Headers that `share_across_keys` leaves out. Any other header counts with it too."""

QUERY_CREDENTIALS: dict[str, str] = {
    "key": "Google's key",
    "api-key": "Azure's key",
    "api_key": "key of some gateways",
    "access_token": "key of some gateways (RFC 6750)",
}
"""Query parameters that `share_across_keys` leaves out, and with them the user info of the URL."""

STREAM_OPTIONS: dict[str, str] = {
    "include_usage": "whether a stream tells its usage at the end; a replay tells it to those who ask",
}
"""Fields of ``stream_options`` (OpenAI chat) that are left out when they are true or false."""

EXTENSIONS: dict[str, str] = {
    "timeout": "how long the client waits",
    "trace": "a callback that is told of the connection's events",
    "cache_control": "what this call asks of this cache; obeyed, and never sent on",
    "openai.azure_auth_origin": "where the SDK first sent it, so that its key follows no redirect; both count",
    "semantic_llm_cache.seen": "mark of this cache: a transport further out has seen the request",
}
"""Extensions of an httpx request that are left out. One that is not here bypasses the cache."""
