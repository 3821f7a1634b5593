"""The similarities that calls met: for their histogram, and for what another threshold would change."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.similarity.base import THRESHOLD_TOLERANCE

__all__ = ["Comparison", "Comparisons", "is_below", "kind_of"]

KINDS = ("hit", "below", "refused")


class Comparison(NamedTuple):
    """A call that was compared with a stored prompt.

    Attributes:
        at: when, in wall seconds.
        namespace: of the call.
        similarity: to the entry served, or on a miss to the nearest.
        kind: ``"hit"``, ``"below"`` (a miss, as the nearest was below the threshold), or ``"refused"`` (a miss for
            another reason: a guard, a verifier, an error budget).
    """

    at: float
    namespace: str
    similarity: float
    kind: str


def kind_of(lookup: Lookup) -> str | None:
    """Return the kind of `Comparison` that a call was; None if it was not compared by meaning."""
    outcome = lookup.would or lookup.outcome
    if lookup.similarity is None:
        return None
    if outcome == "near":
        return "hit"
    if outcome != "miss":
        return None
    return "below" if is_below(lookup) else "refused"


def is_below(lookup: Lookup) -> bool:
    """Return whether a miss was one because the nearest prompt was below the threshold."""
    if lookup.reason.startswith("nearest "):
        return True
    # The call failed, which is said in place of the reason for the miss.
    name, _, threshold = lookup.policy.partition(" ")
    return (
        lookup.reason.startswith("the function raised ")
        and name == "threshold"
        and lookup.similarity is not None
        and lookup.similarity < float(threshold) - THRESHOLD_TOLERANCE
    )


class Comparisons:
    """The last comparisons. Not safe for threads: see `History`.

    Args:
        kept: how many.
    """

    def __init__(self, kept: int = 10_000) -> None:
        self._found: deque[Comparison] = deque(maxlen=kept)

    def add(self, now: float, lookup: Lookup) -> str | None:
        """Keep a call if it was compared by meaning; return its kind then."""
        kind = kind_of(lookup)
        if kind is not None and lookup.similarity is not None:
            self._found.append(Comparison(now, lookup.namespace, lookup.similarity, kind))
        return kind

    def copy(self) -> Comparisons:
        """Return a copy that another thread may read."""
        made = Comparisons()
        made._found = self._found.copy()
        return made

    def _of(self, namespace: str | None) -> Iterator[Comparison]:
        return (one for one in self._found if namespace in (None, one.namespace))

    def histogram(self, bins: int, namespace: str | None = None) -> dict[str, Any]:
        """Return how many calls met which similarity.

        Returns:
            ``edges`` (`bins` + 1 numbers from 0 to 1), for each kind a list of `bins` counts, and ``since``, the time
            of the first call counted, None if there is none. The last bin includes 1.
        """
        counts = {kind: [0] * bins for kind in KINDS}
        since: float | None = None
        for one in self._of(namespace):
            since = one.at if since is None else since
            counts[one.kind][min(bins - 1, int(one.similarity * bins + THRESHOLD_TOLERANCE))] += 1
        return {"edges": [place / bins for place in range(bins + 1)], **counts, "since": since}

    def counts_at(self, threshold: float, namespace: str | None = None) -> dict[str, Any]:
        """Return how many of the calls would have been hits or misses at a threshold, guards apart.

        Returns:
            ``compared``, ``hits`` (as they were), ``hits_lost`` (they are below `threshold`), ``misses_above`` (misses
            that were below their threshold, and are not below this one), ``since``.
        """
        total = hits = lost = above = 0
        since: float | None = None
        for one in self._of(namespace):
            since = one.at if since is None else since
            reaches = one.similarity >= threshold - THRESHOLD_TOLERANCE
            total += 1
            hits += one.kind == "hit"
            lost += one.kind == "hit" and not reaches
            above += one.kind == "below" and reaches
        return {"compared": total, "hits": hits, "hits_lost": lost, "misses_above": above, "since": since}
