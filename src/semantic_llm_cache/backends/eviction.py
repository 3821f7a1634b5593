"""Which entries go first when a bound is reached: one scale for all backends."""

from __future__ import annotations

from math import log2
from typing import NamedTuple

from semantic_llm_cache.arguments import shown

__all__ = ["POLICIES", "Standing", "check_policy", "score"]

POLICIES = ("lru", "lfu", "cost")
"""Least recently used, least frequently used, least saved per byte."""

_HALF_LIFE = 7 * 86_400.0
"""Seconds without a hit after which earlier hits count half, so that an entry once popular can go."""

_USD_PER_SECOND = 0.001
"""What a second of waiting counts as: a usual call takes some seconds and costs some tenths of a cent."""

_LEAST_USD = 1e-6  # an entry of unknown cost and duration is worth a millisecond


class Standing(NamedTuple):
    """What `score` weighs.

    Attributes:
        hits: how often the entry has been served.
        last_accessed: wall time of the last hit in seconds; 0 when there was none.
        created_at: wall time of the store in seconds.
        duration_ms: how long the original call took, in milliseconds.
        cost_usd: what the original call cost.
        size: bytes that the entry takes.
    """

    hits: int
    last_accessed: float
    created_at: float
    duration_ms: float
    cost_usd: float
    size: int


def check_policy(name: str) -> str:
    """Return `name` if it is a policy; ValueError otherwise."""
    if name not in POLICIES:
        raise ValueError(f"eviction={shown(name)} must be one of {', '.join(map(repr, POLICIES))}")
    return name


def score(policy: str, standing: Standing) -> float:
    """Return how much an entry is worth keeping; the lowest scores go first.

    The score of an entry changes only with its hits, not with time, so it can be stored and ordered by.
    For that, `lfu` and `cost` are on a logarithmic scale to which the time of the last use is added: a value
    that halves with every half-life t of disuse, v * 2 ** ((last - now) / t), is in the same order as
    log2(v) + last / t at any moment `now`. With all entries used within minutes, the hits alone decide.

    Args:
        policy: ``"lru"``, ``"lfu"``, or ``"cost"``.
        standing: what is known of the entry.

    Example:
        >>> slow = Standing(9, last_accessed=0.0, created_at=1000.0, duration_ms=900.0, cost_usd=0.001, size=2000)
        >>> score("cost", slow) > score("cost", slow._replace(duration_ms=90.0))
        True
    """
    hits, last_accessed, created_at, duration_ms, cost_usd, size = standing
    used = max(last_accessed, created_at)
    if policy == "lru":
        return used
    value = 1.0 + max(0, hits)
    if policy == "cost":
        saved = max(0.0, cost_usd) + max(0.0, duration_ms) / 1000.0 * _USD_PER_SECOND
        value *= max(saved, _LEAST_USD) / max(1, size)
    return log2(value) + used / _HALF_LIFE
