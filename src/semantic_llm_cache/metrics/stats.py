"""`get_stats`: what the caches of this process did."""

from __future__ import annotations

from typing import Any

from semantic_llm_cache.arguments import check_namespace
from semantic_llm_cache.metrics import budgets, learned
from semantic_llm_cache.metrics import counters as counting
from semantic_llm_cache.metrics.statistics import percentile
from semantic_llm_cache.metrics.table import METRICS, CacheStats
from semantic_llm_cache.storage.registry import backends_in_use

__all__ = ["CacheStats", "get_stats", "reset_stats"]


def get_stats(namespace: str | None = None) -> dict[str, Any]:
    """Return what the caches of this process did: see `CacheStats` for the keys.

    Args:
        namespace: only the calls in this namespace; None means all.

    Example:
        >>> get_stats("a namespace nobody uses")["hits"]
        0
    """
    found = counting.all_counters(check_namespace(namespace))
    total = CacheStats()
    total.hits = sum(counters.hits for counters in found)
    for metric in METRICS:
        if metric.shown is not None:
            setattr(total, metric.shown, sum((getattr(c, metric.counter) for c in found), metric.zero))
    hit_times = [time for counters in found for time in counters.hit_times]
    miss_times = [time for counters in found for time in counters.miss_times]
    total.evictions = sum(int(getattr(backend, "evictions", 0)) for backend in backends_in_use())
    total.categories = learned.summary(namespace)
    total.error_budgets = budgets.summary(namespace)
    total.estimate()
    total.hit_p50_ms = percentile(hit_times, 0.5)
    total.hit_p99_ms = percentile(hit_times, 0.99)
    total.miss_p50_ms = percentile(miss_times, 0.5)
    total.miss_p99_ms = percentile(miss_times, 0.99)
    return total.to_dict()


def reset_stats(namespace: str | None = None) -> None:
    """Set the statistics of this process back to zero. The totals kept by backends stay."""
    counting.reset(check_namespace(namespace))
    learned.reset(namespace)
    budgets.reset(namespace)
