"""Counters of hits, misses and what they saved, in the process."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from semantic_llm_cache.runtime import background

__all__ = ["CacheInfo", "Counters", "all_counters", "percentile", "retire"]

_WINDOW = 1024
FIELDS = (
    "exact",
    "near",
    "coalesced",
    "stale",
    "misses",
    "bypassed",
    "errors",
    "saved_ms",
    "saved_usd",
    "shadow_requests",
    "shadow_hits",
    "shadow_judged",
    "shadow_wrong",
    "reported_right",
    "reported_wrong",
)


class CacheInfo(NamedTuple):
    """Counters of one cached function."""

    hits: int
    misses: int
    exact_hits: int
    near_hits: int
    coalesced_hits: int
    errors: int
    bypassed: int

    @property
    def hit_rate(self) -> float:
        """Share of the requests that were hits, 0.0 when there were none."""
        return self.hits / (self.hits + self.misses) if self.hits + self.misses else 0.0


class Counters:
    """Counts of one namespace as used by one engine; the last times of hits and misses for percentiles.

    Increments are single bytecode-level updates without a lock: an exact hit in memory must take no
    lock, and a count lost to a thread switch once in a long while is worth that.
    """

    __slots__ = (
        "__weakref__", "bypassed", "coalesced", "errors", "exact", "flushed", "hit_times", "miss_times", "misses",
        "namespace", "near", "reported_right", "reported_wrong", "saved_ms", "saved_usd", "shadow_hits",
        "shadow_judged", "shadow_requests", "shadow_wrong", "stale",
    )  # fmt: skip

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.exact = self.near = self.coalesced = self.stale = 0
        self.misses = self.bypassed = self.errors = 0
        self.saved_ms = self.saved_usd = 0.0
        self.shadow_requests = self.shadow_hits = self.shadow_judged = self.shadow_wrong = 0
        self.reported_right = self.reported_wrong = 0
        self.hit_times: deque[float] = deque(maxlen=_WINDOW)
        self.miss_times: deque[float] = deque(maxlen=_WINDOW)
        self.flushed: dict[str, float] = {}

    @property
    def hits(self) -> int:
        """Requests answered without a call of their own."""
        return self.exact + self.near + self.coalesced + self.stale

    def info(self) -> CacheInfo:
        """Return the counts."""
        return CacheInfo(self.hits, self.misses, self.exact, self.near, self.coalesced, self.errors, self.bypassed)

    def add(self, other: Counters) -> None:
        """Add the counts of `other`."""
        for name in FIELDS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.hit_times.extend(other.hit_times)
        self.miss_times.extend(other.miss_times)

    def totals(self) -> dict[str, float]:
        """Return the running totals under the names that backends keep."""
        return {
            "hits": self.hits,
            "misses": self.misses,
            "exact_hits": self.exact,
            "near_hits": self.near,
            "coalesced_hits": self.coalesced,
            "stale_hits": self.stale,
            "errors": self.errors,
            "saved_ms": self.saved_ms,
            "saved_usd": self.saved_usd,
            "shadow_requests": self.shadow_requests,
            "shadow_hits": self.shadow_hits,
            "shadow_judged": self.shadow_judged,
            "shadow_wrong": self.shadow_wrong,
            "reported_right": self.reported_right,
            "reported_wrong": self.reported_wrong,
        }

    def take_delta(self) -> dict[str, float]:
        """Return what has come since the last call."""
        now = self.totals()
        before, self.flushed = self.flushed, now
        return {name: value - before.get(name, 0) for name, value in now.items() if value != before.get(name, 0)}


_lock = threading.RLock()  # reentrant: the garbage collector may retire an engine's counters in between
_live: dict[int, Counters] = {}
_retired: dict[str, Counters] = {}


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()


background.after_fork(_after_fork)


def register(counters: Counters) -> None:
    """Have `counters` show up in the process's statistics."""
    with _lock:
        _live[id(counters)] = counters


def retire(counters: Counters) -> None:
    """Fold the counts of an engine that is gone into the totals of its namespace."""
    with _lock:
        if _live.pop(id(counters), None) is not None:
            _retired.setdefault(counters.namespace, Counters(counters.namespace)).add(counters)


def all_counters(namespace: str | None = None) -> list[Counters]:
    """Return the counters of this process, of one namespace or all."""
    with _lock:
        found = [*_live.values(), *_retired.values()]
    return [c for c in found if namespace is None or c.namespace == namespace]


def reset(namespace: str | None = None) -> None:
    """Set the counters of this process back to zero."""
    for counters in all_counters(namespace):
        for name in FIELDS:
            setattr(counters, name, 0)
        counters.hit_times.clear()
        counters.miss_times.clear()
        counters.flushed = {}


def wilson(count: int, total: int, z: float = 1.959964) -> tuple[float, float]:
    """Return the Wilson score interval of a share, 95 % by default; (0, 1) when nothing was counted.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    if total <= 0:
        return 0.0, 1.0
    share = count / total
    middle = share + z * z / (2 * total)
    spread = z * ((share * (1 - share) + z * z / (4 * total)) / total) ** 0.5
    scale = 1 + z * z / total
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value below which `share` of `values` lie (nearest rank), 0.0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
