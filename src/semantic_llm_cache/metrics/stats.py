"""`CacheStats`: what the caches of this process did."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from semantic_llm_cache.metrics import counters as counting
from semantic_llm_cache.storage.registry import backends_in_use

__all__ = ["CacheStats", "get_stats", "reset_stats"]


@dataclass
class CacheStats:
    """What the caches of this process did, since it began.

    Times are in milliseconds as callers waited, over the last 1,024 calls of each function. `total_saved_ms`
    is what the stored calls took, less what the hits took. `estimated_savings_usd` adds up what each
    stored answer had cost. `estimated_wrong_hit_rate`, with its 95 % interval (Wilson), comes from shadow mode:
    the share of would-be hits whose answer disagreed with the fresh one; None until there are some.
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
    reported_right: int = 0
    reported_wrong: int = 0
    estimated_wrong_hit_rate: float | None = None
    estimated_wrong_hit_interval: tuple[float, float] | None = None
    hit_p50_ms: float = 0.0
    hit_p99_ms: float = 0.0
    miss_p50_ms: float = 0.0
    miss_p99_ms: float = 0.0

    @property
    def total_requests(self) -> int:
        """Hits and misses."""
        return self.hits + self.misses

    @property
    def hit_rate(self) -> float:
        """Share of the requests that were hits, 0.0 when there were none."""
        return self.hits / self.total_requests if self.total_requests else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as a dict."""
        return {**asdict(self), "hit_rate": self.hit_rate, "total_requests": self.total_requests}


def get_stats(namespace: str | None = None) -> dict[str, Any]:
    """Return what the caches of this process did: see `CacheStats` for the keys.

    Args:
        namespace: only the calls under this one.

    Example:
        >>> get_stats("a namespace nobody uses")["hits"]
        0
    """
    found = counting.all_counters(namespace)
    total = CacheStats()
    judged = 0
    hit_times: list[float] = []
    miss_times: list[float] = []
    for counters in found:
        total.hits += counters.hits
        total.misses += counters.misses
        total.exact_hits += counters.exact
        total.near_hits += counters.near
        total.coalesced_hits += counters.coalesced
        total.stale_hits += counters.stale
        total.bypassed += counters.bypassed
        total.errors += counters.errors
        total.total_saved_ms += counters.saved_ms
        total.estimated_savings_usd += counters.saved_usd
        total.shadow_requests += counters.shadow_requests
        total.shadow_hits += counters.shadow_hits
        total.shadow_wrong += counters.shadow_wrong
        total.reported_right += counters.reported_right
        total.reported_wrong += counters.reported_wrong
        judged += counters.shadow_judged
        hit_times.extend(counters.hit_times)
        miss_times.extend(counters.miss_times)
    total.evictions = sum(int(getattr(backend, "evictions", 0)) for backend in backends_in_use())
    if judged:
        total.estimated_wrong_hit_rate = total.shadow_wrong / judged
        total.estimated_wrong_hit_interval = counting.wilson(total.shadow_wrong, judged)
    total.hit_p50_ms = counting.percentile(hit_times, 0.5)
    total.hit_p99_ms = counting.percentile(hit_times, 0.99)
    total.miss_p50_ms = counting.percentile(miss_times, 0.5)
    total.miss_p99_ms = counting.percentile(miss_times, 0.99)
    return total.to_dict()


def reset_stats(namespace: str | None = None) -> None:
    """Set the statistics of this process back to zero. What backends keep stays."""
    counting.reset(namespace)
