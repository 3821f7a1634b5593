"""`CacheStats`, the table of metrics: a new metric is one new line in it.

`Counters` takes its attributes from it, `get_stats` its sums, backends the totals that they keep, and
``semantic-llm-cache stats`` its columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

__all__ = ["METRICS", "CacheStats", "Metric"]


class Metric:
    """One thing that is counted.

    Attributes:
        documentation: what it counts, in one line.
        counter: attribute of `Counters` that is added to.
        shown: field of `CacheStats` with the sum over all counters; None when it is only a part of another figure.
        kept: name of the total that backends keep (`StorageBackend.add_counters`); None when they keep none.
        unit: "ms" or "usd"; empty for a number of requests.
        hit: whether such a request counts as a hit.
        column: heading in the table of ``semantic-llm-cache stats``; None when it has no column.
    """

    __slots__ = ("column", "counter", "documentation", "hit", "kept", "shown", "unit")

    def __init__(self, shown: str, options: Mapping[str, Any]) -> None:
        kept = options["kept"]
        self.documentation: str = options["documentation"]
        self.counter: str = options["counter"] or shown
        self.shown: str | None = shown
        self.kept: str | None = shown if kept is True else kept or None
        self.unit: str = options["unit"]
        self.hit: bool = options["hit"]
        self.column: str | None = options["column"]

    @property
    def zero(self) -> float:
        """The start value: a whole number for requests, a float for what has a unit."""
        return 0.0 if self.unit else 0


def _counted(
    documentation: str,
    counter: str | None = None,
    *,
    kept: bool | str = True,
    unit: str = "",
    hit: bool = False,
    column: str | None = None,
) -> Any:
    """Return a field of `CacheStats` that is a sum over counters. See `Metric`; names default to the field's own."""
    options = {"documentation": documentation, "counter": counter, "kept": kept, "unit": unit, "hit": hit}
    return field(default=0.0 if unit else 0, metadata={"counted": {**options, "column": column}})


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
    misses: int = _counted("Requests that had to call the function.", column="misses")
    exact_hits: int = _counted("Requests answered from the entry with their key.", "exact", hit=True, column="exact")
    near_hits: int = _counted("Requests answered from an entry near in meaning.", "near", hit=True, column="near")
    coalesced_hits: int = _counted(
        "Requests answered by a call that was already under way.", "coalesced", hit=True, column="joined"
    )
    stale_hits: int = _counted("Requests answered from an expired entry.", "stale", hit=True)
    bypassed: int = _counted("Requests that bypassed the cache.", kept=False)
    errors: int = _counted("Requests on which the cache failed, so that the function was called.")
    evictions: int = 0
    total_saved_ms: float = _counted(
        "What the stored calls took, less what the hits took.", "saved_ms", kept="saved_ms", unit="ms", column="saved"
    )
    estimated_savings_usd: float = _counted(
        "What the stored answers of hits had cost.", "saved_usd", kept="saved_usd", unit="usd", column="saved $"
    )
    shadow_requests: int = _counted("Requests in shadow mode.")
    shadow_hits: int = _counted("Requests in shadow mode that would have been hits.")
    shadow_wrong: int = _counted("Would-be hits whose answer disagreed with the fresh one.")
    shadow_judged: int = _counted("Would-be hits whose answer was compared with the fresh one.")
    reported_right: int = _counted("Hits that `report_right` confirmed.")
    reported_wrong: int = _counted("Hits that `report_wrong` named.")
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
            from semantic_llm_cache.metrics.statistics import wilson

            self.estimated_wrong_hit_rate = self.shadow_wrong / self.shadow_judged
            self.estimated_wrong_hit_interval = wilson(self.shadow_wrong, self.shadow_judged)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as a dict."""
        return {**asdict(self), "hit_rate": self.hit_rate, "total_requests": self.total_requests}


def _shown() -> list[Metric]:
    return [Metric(one.name, one.metadata["counted"]) for one in fields(CacheStats) if "counted" in one.metadata]


METRICS: tuple[Metric, ...] = tuple(_shown())
"""All metrics: the fields of `CacheStats` that are sums over counters."""

_ADDED = ("hits", "evictions", *(metric.shown for metric in METRICS if metric.shown is not None))
