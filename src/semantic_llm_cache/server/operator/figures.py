"""The totals that backends keep, summed up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from semantic_llm_cache.metrics.statistics import wilson

__all__ = ["summary"]


def summary(totals: Iterable[Mapping[str, float]]) -> dict[str, Any]:
    """Return the sums over the totals of some namespaces.

    Returns:
        ``requests``, ``hits``, ``hit_rate``, ``saved_ms``, ``saved_usd``, ``reported_right``, ``reported_wrong``, and
        from shadow mode ``judged`` would-be hits, of which ``wrong``, ``wrong_rate`` (None if none was judged) and its
        95 % interval ``wrong_interval`` (Wilson).

    Example:
        >>> summary([{"hits": 1, "misses": 1}, {"hits": 2}])["hit_rate"]
        0.75
    """
    sums: dict[str, float] = {}
    for counts in totals:
        for name, value in counts.items():
            sums[name] = sums.get(name, 0) + value
    hits, misses = int(sums.get("hits", 0)), int(sums.get("misses", 0))
    judged, wrong = int(sums.get("shadow_judged", 0)), int(sums.get("shadow_wrong", 0))
    return {
        "requests": hits + misses,
        "hits": hits,
        "hit_rate": hits / (hits + misses) if hits + misses else None,
        "saved_ms": sums.get("saved_ms", 0.0),
        "saved_usd": sums.get("saved_usd", 0.0),
        "reported_right": int(sums.get("reported_right", 0)),
        "reported_wrong": int(sums.get("reported_wrong", 0)),
        "judged": judged,
        "wrong": wrong,
        "wrong_rate": wrong / judged if judged else None,
        "wrong_interval": list(wilson(wrong, judged)) if judged else None,
    }
