"""What counts of the transport that sends requests: a proxy or a source address can identify a caller too."""

from __future__ import annotations

import secrets
from typing import Any

from semantic_llm_cache.exceptions import CacheKeyError
from semantic_llm_cache.keys.fingerprint import canonical, fingerprint_instance
from semantic_llm_cache.keys.secret_hashes import secret_hash
from semantic_llm_cache.wire.cache import WireCache

__all__ = ["NEUTRAL", "carrier_of"]

_TRANSPORTS = frozenset((f"httpx{n}", f"{kind}HTTPTransport") for n in ("", "2") for kind in ("", "Async"))
_POOLS = frozenset(
    (f"httpcore{n}", f"{kind}{name}")
    for n in ("", "2")
    for kind in ("", "Async")
    for name in ("ConnectionPool", "HTTPProxy", "SOCKSProxy")
)
_BACKENDS = frozenset({"SyncBackend", "AutoBackend", "AnyIOBackend", "TrioBackend"})

NEUTRAL: dict[str, str] = {
    "_ssl_context": "what it holds cannot be read: name a client certificate with `scope`",
    "_proxy_ssl_context": "what it holds cannot be read: name a client certificate with `scope`",
    "_max_connections": "size of the pool",
    "_max_keepalive_connections": "size of the pool",
    "_keepalive_expiry": "how long idle connections are kept",
    "_http1": "version of HTTP",
    "_http2": "version of HTTP",
    "_retries": "how often connecting is tried",
    "_socket_options": "how sockets are kept alive",
    "_connections": "the connections that are open",
    "_requests": "the requests under way",
    "_optional_thread_lock": "a lock",
}
"""What is left out of a connection pool of httpcore, and why. Whatever else it holds counts."""


def carrier_of(transport: Any, door: WireCache) -> str | None:
    """Return what counts of a transport, None for one that adds nothing to a request.

    A transport of httpx counts by its proxy, its proxy's headers, its source address and its socket, and not at all
    when it has none of these. Any other transport counts by all that it holds. Where that has no stable form, its
    answers are its own: it gets a random name, unless the door's `scope` says what counts.
    """
    plain = _plain(transport)
    if plain is not None:
        return secret_hash(canonical(plain)) if plain else None
    try:
        return secret_hash(fingerprint_instance(transport, "transport"))
    except CacheKeyError as error:
        if door.scope is not None:
            return None
        door.engine.log_once(
            "carrier",
            f"answers are kept for one client only, which sends through a transport that cannot be told from others "
            f"({error}): name with scope= what tells them apart",
        )
        return secrets.token_hex(16)


def _where(value: Any) -> tuple[str, str]:
    return type(value).__module__.partition(".")[0], type(value).__qualname__


def _plain(transport: Any) -> dict[str, Any] | None:
    """Return what counts of a transport of httpx; None for any other."""
    pool = getattr(transport, "_pool", None)
    if _where(transport) not in _TRANSPORTS or _where(pool) not in _POOLS or set(vars(transport)) != {"_pool"}:
        return None
    found: dict[str, Any] = {}
    for name, value in vars(pool).items():
        if name in NEUTRAL or value is None:
            continue
        if name == "_network_backend":
            if type(value).__qualname__ not in _BACKENDS:
                return None
            continue
        found[name] = _of_core(value)
    try:
        canonical(found)
    except CacheKeyError:
        return None
    return found


def _of_core(value: Any) -> Any:
    """Return a URL or a proxy of httpcore as plain data, and anything else as it is."""
    if _where(value) in {("httpcore", "URL"), ("httpcore2", "URL")}:
        return [value.scheme, value.host, value.port, value.target]
    if _where(value) in {("httpcore", "Proxy"), ("httpcore2", "Proxy")}:
        held = {name: item for name, item in vars(value).items() if name != "ssl_context"}
        return {name: _of_core(item) for name, item in held.items()}
    return value
