"""Every metric once: its names, unit, type, labels and help.

Prometheus and OpenTelemetry take theirs from here, ``docs/metrics.md`` is written from it, and the dashboard and the
alert rules in ``examples/`` are checked against it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["BY_KEY", "LABELS", "METRICS", "PHASES", "Metric"]

Kind = Literal["counter", "histogram", "gauge"]

_SHORT = (0.00001, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
_LONG = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)


class Metric(NamedTuple):
    """One metric.

    Attributes:
        key: its name in this package.
        kind: its type.
        prometheus: its name in Prometheus, as in queries: a counter ends in ``_total``.
        otel: its name in OpenTelemetry.
        unit: its unit in OpenTelemetry (UCUM). In Prometheus, the unit of a time is part of the name.
        labels: the names of its labels, or attributes.
        help: what it is, in one line.
        buckets: of a histogram: the upper bounds, in its unit.
        processes: of a gauge: how Prometheus joins the values of several processes.
    """

    key: str
    kind: Kind
    prometheus: str
    otel: str
    unit: str
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()
    processes: Literal["livemax", "livemin"] = "livemax"

    @property
    def series(self) -> tuple[str, ...]:
        """The names that a query can use in Prometheus."""
        if self.kind == "histogram":
            return tuple(self.prometheus + end for end in ("_bucket", "_count", "_sum"))
        return (self.prometheus,)


def _counter(key: str, otel: str, unit: str, labels: tuple[str, ...], help: str) -> Metric:
    return Metric(key, "counter", f"semantic_llm_cache_{key}_total", f"semantic_llm_cache.{otel}", unit, labels, help)


def _histogram(key: str, labels: tuple[str, ...], help: str, buckets: tuple[float, ...]) -> Metric:
    name = f"semantic_llm_cache_{key}_duration_seconds"
    return Metric(key, "histogram", name, f"semantic_llm_cache.{key}.duration", "s", labels, help, buckets)


def _gauge(key: str, otel: str, unit: str, labels: tuple[str, ...], help: str, processes: str = "livemax") -> Metric:
    name = f"semantic_llm_cache_{key}"
    joined: Literal["livemax", "livemin"] = "livemin" if processes == "livemin" else "livemax"
    return Metric(key, "gauge", name, f"semantic_llm_cache.{otel}", unit, labels, help, processes=joined)


METRICS: tuple[Metric, ...] = (
    _counter(
        "lookups",
        "lookups",
        "{lookup}",
        ("namespace", "outcome", "tier"),
        "Calls that ended, by how they were answered.",
    ),
    _counter(
        "refusals", "refusals", "{answer}", ("namespace", "reason"), "Fresh answers that were not stored, by reason."
    ),
    _counter(
        "saved_seconds",
        "saved.duration",
        "s",
        ("namespace",),
        "What the stored calls of hits took, less what the hits took. A hit that took longer counts as 0.",
    ),
    _counter(
        "saved_tokens", "saved.tokens", "{token}", ("namespace", "type"), "Tokens of the stored calls that hits saved."
    ),
    _counter(
        "saved_usd", "saved.cost", "{USD}", ("namespace",), "What the stored calls that hits saved had cost, in USD."
    ),
    _counter(
        "shadow_judged",
        "shadow.judged",
        "{answer}",
        ("namespace", "verdict"),
        "Would-be hits of shadow mode whose answer was compared with the fresh one.",
    ),
    _histogram(
        "lookup",
        ("outcome",),
        "How long callers waited for the cache: the whole call, less the function's own time. Who joins a call waits "
        "for that call.",
        _SHORT,
    ),
    _histogram("embed", (), "Embedding the text of one call.", _SHORT),
    _histogram("search", (), "Searching the storage for near entries, for one call.", _SHORT),
    _histogram("decide", (), "Deciding about the near entries of one call: guards, verifier, error budget.", _SHORT),
    _histogram("call", (), "The function that a miss called. Background refreshes are not in it.", _LONG),
    _gauge(
        "entries", "entries", "{entry}", ("backend",), "Live entries in the storage. Seldom counted where that is slow."
    ),
    _gauge(
        "breaker_open",
        "breaker.open",
        "1",
        ("backend", "operation"),
        "1 while the circuit breaker of an operation refuses calls after failures, else 0.",
    ),
    _gauge(
        "error_budget_spent_ratio",
        "error_budget.spent",
        "1",
        ("namespace",),
        "Share of the error budget that is spent. At 1 nothing near is served until further requests have earned more.",
    ),
    _gauge(
        "wrong_hit_ratio",
        "wrong_hits.estimate",
        "1",
        ("namespace",),
        "Estimated share of hits that are wrong, from the would-be hits that shadow mode compared.",
    ),
    _gauge(
        "wrong_hit_ratio_lower",
        "wrong_hits.lower",
        "1",
        ("namespace",),
        "Lower end of the 95 % interval of the estimated share of wrong hits.",
        "livemin",
    ),
    _gauge(
        "wrong_hit_ratio_upper",
        "wrong_hits.upper",
        "1",
        ("namespace",),
        "Upper end of the 95 % interval of the estimated share of wrong hits.",
    ),
)
"""All metrics."""

BY_KEY: dict[str, Metric] = {metric.key: metric for metric in METRICS}

PHASES = ("embed", "search", "decide", "call")
"""The phases of a call that have a histogram, and a span, each."""

LABELS: dict[str, str] = {
    "namespace": "of the call. The first 100 that are seen, then `other`; cut to 100 characters",
    "outcome": "as in `Lookup`: `exact`, `near`, `coalesced`, `stale`, `miss`, `bypass`, `error`",
    "tier": "`exact` or `near` when an entry was served, else `none`",
    "reason": "one of the words in [options.md](options.md#why-an-answer-was-not-stored)",
    "type": "`input` or `output`",
    "verdict": "`right` or `wrong`",
    "backend": "`memory`, `sqlite`, `redis`, `postgres`, or `other` for a class of your own",
    "operation": "`read`, `search`, `write`, `lease`, or `embed` for the embedder",
}
"""The values of each label."""
