"""``Cache-Status`` (RFC 9211): what the cache did with a request, for the caller and for tools."""

from __future__ import annotations

from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.calls.refusals import word_of

__all__ = ["HIT", "NAME", "NOT_FORWARDED", "cache_status"]

NAME = "semantic-llm-cache"
"""The name of this cache in ``Cache-Status`` and ``Proxy-Status``."""

_HITS = {"exact": f"{NAME}; hit", "near": f"{NAME}; hit; detail=near", "stale": f"{NAME}; hit; detail=stale"}
HIT = _HITS["exact"]
"""The value for an exact hit."""
NOT_FORWARDED = f"{NAME}; detail=only-if-cached"
"""The value where the request asked for a stored answer, and there is none."""


def cache_status(found: Lookup | None, status: int, forced: bool = False) -> str:
    """Return the value of the header.

    Args:
        found: what happened; None where that is not known yet, as when a stream begins.
        status: of the response.
        forced: whether the request itself asked not to be answered from the cache.

    Example:
        >>> cache_status(None, 200)
        'semantic-llm-cache; fwd=miss; fwd-status=200'
    """
    outcome = "miss" if found is None else found.outcome
    if outcome in _HITS:
        return _HITS[outcome]
    if outcome == "coalesced":
        return f"{NAME}; fwd=miss; collapsed"
    why = "bypass" if outcome == "bypass" else "request" if forced else "miss"
    text = f"{NAME}; fwd={why}; fwd-status={status}"
    if found is not None and found.stored:
        return f"{text}; stored"
    word = "" if found is None else word_of(found.stored_reason)
    return f"{text}; detail={word}" if word else text
