"""Statistics, and the management of entries across every cache of the process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from semantic_llm_cache.arguments import check_namespace, check_tags, check_text
from semantic_llm_cache.engine.state import backends_in_use, resolve_backend, state_of
from semantic_llm_cache.management.transfer import export_cache, import_cache
from semantic_llm_cache.management.warming import warm_cache
from semantic_llm_cache.metrics import counters as counting
from semantic_llm_cache.storage.contract import StorageBackend

__all__ = [
    "CacheStats",
    "clear_cache",
    "export_cache",
    "get_stats",
    "import_cache",
    "invalidate",
    "reset_stats",
    "warm_cache",
]


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
    found = counting.all_counters(check_namespace(namespace))
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
    counting.reset(check_namespace(namespace))


async def _each(backend: StorageBackend | str | None, action: Callable[[StorageBackend], Awaitable[int]]) -> int:
    """Do it on every backend meant, also after one has failed; then raise what the first failure raised."""
    count = 0
    problem: Exception | None = None
    for target in backends_in_use() if backend is None else [resolve_backend(backend)]:
        try:
            count += await action(target)
        except Exception as error:
            problem = problem or error
    if problem is not None:
        raise problem
    return count


async def clear_cache(namespace: str | None = None, *, backend: StorageBackend | str | None = None) -> int:
    """Remove all entries, or those of one namespace; return how many.

    Args:
        namespace: None is all.
        backend: an object or URL; None is every backend in use in this process.
    """

    check_namespace(namespace)

    async def clear(target: StorageBackend) -> int:
        count = await target.clear(namespace)
        state_of(target).drop_pending()
        return count

    return await _each(backend, clear)


async def invalidate(
    pattern: str | None = None,
    namespace: str | None = None,
    *,
    tags: str | Iterable[str] | None = None,
    backend: StorageBackend | str | None = None,
) -> int:
    """Remove entries whose prompt holds `pattern` and that carry any of `tags`; return how many.

    Args:
        pattern: part of the prompt, in any case; None does not restrict.
        namespace: None is all.
        tags: one label or several; None does not restrict.
        backend: an object or URL; None is every backend in use in this process.

    Raises:
        ValueError: neither a pattern nor tags: that is `clear_cache`.
    """
    check_namespace(namespace)
    names = None if tags is None else check_tags(tags)
    if pattern is None and names is None:
        raise ValueError("invalidate() needs a pattern or tags=; to remove everything use clear_cache()")
    check_text(pattern, "pattern")
    if pattern == "":
        raise ValueError('pattern="" would match every prompt; to remove everything use clear_cache()')
    return await _each(backend, lambda target: target.invalidate(pattern, tags=names, namespace=namespace))
