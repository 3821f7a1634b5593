"""``Cache-Status`` (RFC 9211): what the cache did with a request, for the caller and for tools."""

from __future__ import annotations

from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.calls.refusals import word_of

__all__ = ["HIT", "NAME", "cache_status"]

NAME = "semantic-llm-cache"
"""The name of this cache in ``Cache-Status`` and ``Proxy-Status``."""

_HITS = {"exact": f"{NAME}; hit", "near": f"{NAME}; hit; detail=near", "stale": f"{NAME}; hit; detail=stale"}
HIT = _HITS["exact"]
"""The value for an exact hit."""


def cache_status(found: Lookup | None, status: int | None, refused: str = "", forced: bool = False) -> str:
    """Return the value of the header.

    Args:
        found: what happened; None where that is not known yet, as when a stream begins.
        status: of the upstream's response, None where there is none.
        refused: why the answer is not stored, where `found` does not say.
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
    text = f"{NAME}; fwd={'bypass' if outcome == 'bypass' else 'request' if forced else 'miss'}"
    if status is not None:
        text += f"; fwd-status={status}"
    if found is not None and found.stored:
        return f"{text}; stored"
    word = word_of((found.stored_reason if found is not None else "") or refused)
    return f"{text}; detail={word}" if word else text
