"""`get_stats` and `CacheStats`: what the caches of this process did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from semantic_llm_cache.arguments import check_namespace
from semantic_llm_cache.metrics import budgets, learned
from semantic_llm_cache.metrics import counters as counting
from semantic_llm_cache.metrics.statistics import percentile, wilson
from semantic_llm_cache.metrics.table import METRICS
from semantic_llm_cache.storage.registry import backends_in_use

__all__ = ["CacheStats", "get_stats", "reset_stats"]

_ADDED = ("hits", "evictions", *(metric.shown for metric in METRICS))


@dataclass
class CacheStats:
    """What the caches of this process did since it started.

    Times are in milliseconds as callers waited, over the last 1,024 calls of each function. `total_saved_ms`
    is what the stored calls took, less what the hits took. `estimated_savings_usd` adds up what each
    stored answer had cost. `estimated_wrong_hit_rate`, with its 95 % interval (Wilson), comes from shadow mode:
    the share of would-be hits whose answer disagreed with the fresh one; None until there are some.

    `categories` are clusters of the prompts that were embedded (misses and near hits), largest first, at most 32 in a
    namespace: dicts with "namespace", "label" (words that occur in many different prompts of the cluster, "" if there
    are none), "requests", "near_hits", "near_hit_rate", and "judged" with "wrong_rate" (None until then): how many
    answers shadow mode or a person has judged, and the share that was wrong.

    `error_budgets` are those in use in this process, most requests first: dicts with "namespace", "category" (None for
    all that have none of their own), the bounds, and what `OnlinePolicy.summary` returns.

    Figures of several namespaces, processes or runs can be added, and summed with `sum`. Counts and savings add up,
    rates are those of all together. The percentiles of a sum are the larger of the two, which those of all
    together never exceed. `evictions` are of whole backends: figures that share a backend have them twice.

    Example:
        >>> sum([CacheStats(hits=1, misses=3), CacheStats(hits=3, misses=1)]).hit_rate
        0.5
    """

    hits: int = 0
    misses: int = 0
    exact_hits: int = 0
    near_hits: int = 0
    coalesced_hits: int = 0
    stale_hits: int = 0
    bypassed: int = 0
    errors: int = 0
    evictions: int = 0
    total_saved_ms: float = 0.0
    estimated_savings_usd: float = 0.0
    shadow_requests: int = 0
    shadow_hits: int = 0
    shadow_wrong: int = 0
    shadow_judged: int = 0
    reported_right: int = 0
    reported_wrong: int = 0
    estimated_wrong_hit_rate: float | None = None
    estimated_wrong_hit_interval: tuple[float, float] | None = None
    hit_p50_ms: float = 0.0
    hit_p99_ms: float = 0.0
    miss_p50_ms: float = 0.0
    miss_p99_ms: float = 0.0
    categories: list[dict[str, Any]] = field(default_factory=list)
    error_budgets: list[dict[str, Any]] = field(default_factory=list)

    @property
    def total_requests(self) -> int:
        """Hits and misses."""
        return self.hits + self.misses

    @property
    def hit_rate(self) -> float:
        """Share of the requests that were hits, 0.0 when there were none."""
        return self.hits / self.total_requests if self.total_requests else 0.0

    @classmethod
    def from_dict(cls, stats: Mapping[str, Any]) -> CacheStats:
        """Return the figures that `get_stats` or `to_dict` returned as an object, which can be added.

        Names that are no field, such as ``hit_rate``, are left out.
        """
        return cls(**{one.name: stats[one.name] for one in fields(cls) if one.name in stats})

    def __add__(self, other: object) -> CacheStats:
        if not isinstance(other, CacheStats):
            return NotImplemented
        total = CacheStats()
        for name in _ADDED:
            setattr(total, name, getattr(self, name) + getattr(other, name))
        for name in ("hit_p50_ms", "hit_p99_ms", "miss_p50_ms", "miss_p99_ms"):
            setattr(total, name, max(getattr(self, name), getattr(other, name)))
        total.categories = sorted(self.categories + other.categories, key=lambda one: -one["requests"])
        total.error_budgets = sorted(self.error_budgets + other.error_budgets, key=lambda one: -one["requests"])
        total.estimate()
        return total

    def __radd__(self, other: object) -> CacheStats:
        return self + CacheStats() if other == 0 else NotImplemented  # `sum` begins with 0

    def estimate(self) -> None:
        """Set the estimated rate of wrong hits, and its interval, from the counts."""
        if self.shadow_judged:
            self.estimated_wrong_hit_rate = self.shadow_wrong / self.shadow_judged
            self.estimated_wrong_hit_interval = wilson(self.shadow_wrong, self.shadow_judged)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as a dict."""
        return {**asdict(self), "hit_rate": self.hit_rate, "total_requests": self.total_requests}


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
