"""What a call that has ended adds to the metrics."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from semantic_llm_cache.calls.refusals import word_of
from semantic_llm_cache.engine.listening import Event
from semantic_llm_cache.runtime.fork import fork_safe_lock
from semantic_llm_cache.telemetry.table import PHASES

__all__ = ["MOST_NAMESPACES", "OTHER", "Measure", "Names", "addable", "measures", "tier_of"]

MOST_NAMESPACES = 100
"""How many different namespaces become values of a label."""
OTHER = "other"
_LONGEST = 100


class Measure(NamedTuple):
    """One addition to one metric.

    Attributes:
        key: the metric's, as in `table.METRICS`.
        value: what to add, or of a histogram to record.
        labels: the values of its labels, in their order.
    """

    key: str
    value: float
    labels: tuple[str, ...]


class Names:
    """The namespaces as values of a label: the first `most` that come, `OTHER` for all further ones.

    Example:
        >>> names = Names(most=1)
        >>> names.label("a"), names.label("b"), names.label("a")
        ('a', 'other', 'a')
    """

    def __init__(self, most: int = MOST_NAMESPACES) -> None:
        self._most = most
        self._known: dict[str, str] = {}
        self._lock = fork_safe_lock()

    def label(self, namespace: str) -> str:
        """Return the value for a namespace."""
        known = self._known.get(namespace)
        if known is not None:
            return known
        with self._lock:
            if len(self._known) >= self._most:
                return self._known.get(namespace, OTHER)
            # An exporter writes UTF-8: one lone surrogate would spoil the metrics of the whole process.
            text = namespace[:_LONGEST].encode("utf-8", "replace").decode("utf-8")
            return self._known.setdefault(namespace, text)


def addable(value: float) -> float:
    """Return what a counter can take of a figure: nothing that is negative, infinite, or not a number.

    Example:
        >>> addable(1.5), addable(-1), addable(float("nan"))
        (1.5, 0.0, 0.0)
    """
    return value if 0 < value < math.inf else 0.0


def tier_of(tier: str | None) -> str:
    """Return the value of the label `tier`."""
    return tier or "none"


def measures(event: Event, namespace: str) -> Iterator[Measure]:
    """Return what a call adds to counters and histograms.

    Args:
        event: the call that has ended.
        namespace: its namespace, as the value of a label.
    """
    lookup = event.lookup
    yield Measure("lookups", 1, (namespace, lookup.outcome, tier_of(lookup.tier)))
    if lookup.stored_reason:
        yield Measure("refusals", 1, (namespace, word_of(lookup.stored_reason)))
    if lookup.hit:
        yield Measure("saved_seconds", addable(lookup.saved_ms / 1000), (namespace,))
        yield Measure("saved_tokens", addable(event.tokens[0]), (namespace, "input"))
        yield Measure("saved_tokens", addable(event.tokens[1]), (namespace, "output"))
        yield Measure("saved_usd", addable(lookup.saved_usd), (namespace,))
    if lookup.would_be_right is not None:
        yield Measure("shadow_judged", 1, (namespace, "right" if lookup.would_be_right else "wrong"))
    took: dict[str, float] = {}
    for phase in event.phases:
        took[phase.name] = took.get(phase.name, 0.0) + phase.end - phase.start
    if lookup.outcome != "bypass":
        yield Measure("lookup", max(0.0, lookup.duration_ms / 1000 - took.get("call", 0.0)), (lookup.outcome,))
    for name in PHASES:
        if name in took:
            yield Measure(name, took[name], ())
