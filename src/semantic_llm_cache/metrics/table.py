"""The table of metrics.

`Counters` takes its attributes from it, `get_stats` its sums, backends the totals that they keep, and
``semantic-llm-cache stats`` its columns.
"""

from __future__ import annotations

from semantic_llm_cache.calls.lookup import HITS

__all__ = ["METRICS", "Metric"]


class Metric:
    """One thing that is counted.

    Attributes:
        documentation: what it counts, in one line.
        counter: attribute of `Counters` that is added to.
        shown: field of `CacheStats` with the sum over all counters.
        kept: name of the total that backends keep (`StorageBackend.add_counters`); None when they keep none.
        unit: "ms" or "usd"; empty for a number of requests.
        column: heading in the table of ``semantic-llm-cache stats``; None when it has no column.
    """

    __slots__ = ("column", "counter", "documentation", "kept", "shown", "unit")

    def __init__(
        self,
        shown: str,
        documentation: str,
        counter: str = "",
        *,
        kept: bool | str = True,
        unit: str = "",
        column: str | None = None,
    ) -> None:
        self.shown = shown
        self.documentation = documentation
        self.counter = counter or shown
        self.kept: str | None = shown if kept is True else kept or None
        self.unit = unit
        self.column = column

    @property
    def hit(self) -> bool:
        """Whether such a request counts as a hit."""
        return self.counter in HITS

    @property
    def zero(self) -> float:
        """The start value: a whole number for requests, a float for what has a unit."""
        return 0.0 if self.unit else 0


METRICS: tuple[Metric, ...] = (
    Metric("misses", "Requests that had to call the function.", column="misses"),
    Metric("exact_hits", "Requests answered from the entry with their key.", "exact", column="exact"),
    Metric("near_hits", "Requests answered from an entry near in meaning.", "near", column="near"),
    Metric("coalesced_hits", "Requests answered by a call that was already under way.", "coalesced", column="joined"),
    Metric("stale_hits", "Requests answered from an expired entry.", "stale"),
    Metric("bypassed", "Requests that bypassed the cache.", kept=False),
    Metric("errors", "Requests on which the cache failed, so that the function was called."),
    Metric(
        "total_saved_ms",
        "What the stored calls took, less what the hits took.",
        "saved_ms",
        kept="saved_ms",
        unit="ms",
        column="saved",
    ),
    Metric(
        "estimated_savings_usd",
        "What the stored answers of hits had cost.",
        "saved_usd",
        kept="saved_usd",
        unit="usd",
        column="saved $",
    ),
    Metric("shadow_requests", "Requests in shadow mode."),
    Metric("shadow_hits", "Requests in shadow mode that would have been hits."),
    Metric("shadow_wrong", "Would-be hits whose answer disagreed with the fresh one."),
    Metric("shadow_judged", "Would-be hits whose answer was compared with the fresh one."),
    Metric("reported_right", "Hits that `report_right` confirmed."),
    Metric("reported_wrong", "Hits that `report_wrong` named."),
)
"""All metrics: each is a field of `CacheStats`, a sum over counters."""
