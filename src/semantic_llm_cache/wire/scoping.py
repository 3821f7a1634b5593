"""What of a request's address and headers counts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from semantic_llm_cache.keys.fingerprint import secret_hash

__all__ = ["counting", "scope_of_address", "scope_of_headers"]

_NEUTRAL = re.compile(
    r"""
    (host|user-agent|accept(-.*)?|connection|keep-alive|te|trailer|upgrade|transfer-encoding|expect|date|via|forwarded
    |content-length|content-encoding|content-type|priority|dnt|referer|origin|cache-control|pragma
    |x-stainless-.*|x-cache-.*|x-forwarded-.*|x-real-ip|sec-.*|sentry-trace|baggage|traceparent|tracestate|x-b3-.*|b3
    |x-cloud-trace-context|x-amzn-trace-id|x-datadog-.*|newrelic|idempotency-key|x-idempotency-key
    |x-request-id|x-client-request-id|x-correlation-id|request-id)
    """,
    re.VERBOSE,
)
"""Headers about the connection, the client's build or the tracing of one request."""

_SECRET = re.compile(r"(^|-)(auth|authorization|key|token|secret|cookie|credential|password|signature)(-|$)")
_PROVIDER_COOKIES = ("__cf", "_cf", "cf_")


@lru_cache(maxsize=1024)
def _kind(given: str) -> tuple[str, bool, bool]:
    """Return a header's name in lower case, whether it is neutral, and whether it is a credential."""
    name = given.lower()
    return name, _NEUTRAL.fullmatch(name) is not None, _SECRET.search(name) is not None


def counting(headers: Iterable[tuple[str, str]], ignore: frozenset[str]) -> list[str]:
    """Return names and values, in turn, of the headers that count, as they came."""
    kept: list[str] = []
    for given, value in headers:
        name, neutral, _ = _kind(given)
        if not neutral and name not in ignore:
            kept += (name, value)
    return kept


def scope_of_headers(
    headers: Iterable[tuple[str, str]], share_across_keys: bool, ignore: frozenset[str]
) -> dict[str, str]:
    """Return what counts of the headers: all but those known to be about something else.

    A gateway's own header may name a tenant, so a header that is not known counts. Credentials count as keyed
    hashes, or not at all with `share_across_keys`.

    Example:
        >>> scope_of_headers([("X-Tenant", "7"), ("User-Agent", "a")], False, frozenset())
        {'x-tenant': '7'}
    """
    kept: dict[str, str] = {}
    for given, value in headers:
        name, neutral, secret = _kind(given)
        if neutral or name in ignore:
            continue
        if name == "cookie":
            value = "; ".join(
                sorted(
                    part.strip() for part in value.split(";") if not part.strip().lower().startswith(_PROVIDER_COOKIES)
                )
            )
            if not value:
                continue
        if secret:
            if share_across_keys:
                continue
            value = secret_hash(value)
        kept[name] = f"{kept[name]}, {value}" if name in kept else value
    return kept


def scope_of_address(url: str, share_across_keys: bool) -> dict[str, Any]:
    """Return what counts of a URL: scheme, host, port, path and query, secrets in it as keyed hashes."""
    if "?" not in url and "@" not in url:
        return {"url": _address(url)}
    parts = urlsplit(url)
    found: dict[str, Any] = {"url": _told(parts)}
    query = []
    for name, value in sorted(parse_qsl(parts.query, keep_blank_values=True)):
        if _SECRET.search(name.lower().replace("_", "-")):
            if share_across_keys:
                continue
            value = secret_hash(value)
        query.append((name, value))
    if query:
        found["query"] = query
    if parts.username and not share_across_keys:
        found["user"] = secret_hash(f"{parts.username}:{parts.password}")
    return found


@lru_cache(maxsize=256)
def _address(url: str) -> str:
    return _told(urlsplit(url))


def _told(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.hostname}:{parts.port}{parts.path}"
