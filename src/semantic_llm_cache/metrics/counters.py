"""Counters of hits, misses and what they saved, in the process."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from semantic_llm_cache.metrics.table import METRICS

__all__ = ["CacheInfo", "Counters", "all_counters", "retire"]

_WINDOW = 1024  # times of hits, and of misses, that are kept for percentiles
_NAMES = tuple(metric.counter for metric in METRICS)
_HITS = tuple(metric.counter for metric in METRICS if metric.hit)
_KEPT = {metric.kept: metric.counter for metric in METRICS if metric.kept is not None}


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
    lock, and losing a count to a thread switch now and then is acceptable.
    """

    __slots__ = ("__weakref__", "flushed", "hit_times", "miss_times", "namespace", *_NAMES)

    if TYPE_CHECKING:  # the slots that come from the table

        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.hit_times: deque[float] = deque(maxlen=_WINDOW)
        self.miss_times: deque[float] = deque(maxlen=_WINDOW)
        self.clear()

    def clear(self) -> None:
        """Set all counts back to zero."""
        for metric in METRICS:
            setattr(self, metric.counter, metric.zero)
        self.hit_times.clear()
        self.miss_times.clear()
        self.flushed: dict[str, float] = {}

    @property
    def hits(self) -> int:
        """Requests answered without a call of their own."""
        return sum(getattr(self, name) for name in _HITS)

    def info(self) -> CacheInfo:
        """Return the counts."""
        return CacheInfo(self.hits, self.misses, self.exact, self.near, self.coalesced, self.errors, self.bypassed)

    def add(self, other: Counters) -> None:
        """Add the counts of `other`."""
        for name in _NAMES:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.hit_times.extend(other.hit_times)
        self.miss_times.extend(other.miss_times)

    def totals(self) -> dict[str, float]:
        """Return the running totals under the names that backends keep."""
        return {"hits": self.hits, **{kept: getattr(self, name) for kept, name in _KEPT.items()}}

    def pending(self, name: str) -> float:
        """Return what was added since the last `take_delta` to one of the totals."""
        now = self.hits if name == "hits" else getattr(self, _KEPT[name])
        return float(now - self.flushed.get(name, 0))

    def take_delta(self) -> dict[str, float]:
        """Return what was added since the last call."""
        now = self.totals()
        before, self.flushed = self.flushed, now
        return {name: value - before.get(name, 0) for name, value in now.items() if value != before.get(name, 0)}


_lock = threading.RLock()  # reentrant: the garbage collector may retire an engine's counters in between
_live: dict[int, Counters] = {}
_retired: dict[str, Counters] = {}


def register(counters: Counters) -> None:
    """Include `counters` in the process's statistics."""
    with _lock:
        _live[id(counters)] = counters


def retire(counters: Counters) -> None:
    """Add the counts of a deleted engine to the totals of its namespace."""
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
        counters.clear()


def reset_after_fork() -> None:
    """Replace the lock: in a forked child, the thread that may hold it does not exist."""
    global _lock
    _lock = threading.RLock()
