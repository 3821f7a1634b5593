"""Traffic by minute: how many calls had which outcome, what they saved, how long they took."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any

from semantic_llm_cache.calls.lookup import HITS, Lookup

__all__ = ["OTHER", "OUTCOMES", "Minutes"]

OUTCOMES = ("exact", "near", "coalesced", "stale", "miss", "error", "bypass")
OTHER = "(other)"
"""Where the calls of namespaces beyond the first 50 are counted."""

_MOST_NAMESPACES = 50
_MOST_CELLS = 40_000  # each takes some 500 bytes
_LOG_STEP = math.log(1.15)
_FASTEST = 0.001  # milliseconds; what is faster counts as this


class _Cell:
    """The calls of one namespace with one outcome, in one minute.

    Attributes:
        count: how many.
        saved_ms, saved_usd, saved_tokens: what they saved.
        times: how many took about so long: each place is 15 % longer than the one before.
    """

    __slots__ = ("count", "saved_ms", "saved_tokens", "saved_usd", "times")

    def __init__(self) -> None:
        self.count = 0
        self.saved_ms = 0.0
        self.saved_usd = 0.0
        self.saved_tokens = 0
        self.times: dict[int, int] = {}

    def add(self, lookup: Lookup, tokens: int) -> None:
        self.count += 1
        self.saved_ms += lookup.saved_ms
        self.saved_usd += lookup.saved_usd
        self.saved_tokens += tokens
        place = round(math.log(max(_FASTEST, lookup.duration_ms)) / _LOG_STEP)
        self.times[place] = self.times.get(place, 0) + 1

    def copy(self) -> _Cell:
        made = _Cell()
        made.count, made.saved_ms = self.count, self.saved_ms
        made.saved_usd, made.saved_tokens = self.saved_usd, self.saved_tokens
        made.times = self.times.copy()
        return made


class Minutes:
    """The last minutes with calls, oldest first. Not safe for threads: see `History`.

    Args:
        kept: how many minutes are kept; fewer when many namespaces are in use.
    """

    def __init__(self, kept: int = 1440) -> None:
        self._kept = kept
        self._minutes: OrderedDict[int, dict[tuple[str, str], _Cell]] = OrderedDict()
        self._cells = 0
        self._last = 0
        self._namespaces: set[str] = set()

    def add(self, now: float, lookup: Lookup, tokens: int = 0) -> None:
        """Count a call that ended at `now`, in wall seconds, and the tokens that it saved."""
        minute = max(self._last, int(now // 60))  # a clock that is set back changes nothing
        cells = self._minutes.get(minute)
        if cells is None:
            cells = self._begin(minute)
        name = (self.counted_as(lookup.namespace), lookup.outcome)
        cell = cells.get(name)
        if cell is None:
            cell = cells[name] = _Cell()
            self._cells += 1
        cell.add(lookup, tokens)

    def _begin(self, minute: int) -> dict[tuple[str, str], _Cell]:
        self._last = minute
        while self._minutes:
            oldest = next(iter(self._minutes))
            if oldest > minute - self._kept and self._cells < _MOST_CELLS:
                break
            self._cells -= len(self._minutes.pop(oldest))
        cells: dict[tuple[str, str], _Cell] = {}
        self._minutes[minute] = cells
        return cells

    def counted_as(self, namespace: str) -> str:
        """Return the name under which a namespace is counted: its own, or `OTHER` if there are too many."""
        if namespace not in self._namespaces:
            if len(self._namespaces) >= _MOST_NAMESPACES:
                return OTHER
            self._namespaces.add(namespace)
        return namespace

    def copy(self) -> Minutes:
        """Return a copy that another thread may read: only the last minute still changes."""
        made = Minutes(self._kept)
        made._minutes = self._minutes.copy()
        if self._minutes:
            made._minutes[self._last] = {name: cell.copy() for name, cell in self._minutes[self._last].items()}
        made._namespaces = set(self._namespaces)
        return made

    @property
    def namespaces(self) -> list[str]:
        """The namespaces that had calls."""
        return sorted(self._namespaces)

    def points(self, now: float, minutes: int, step: int, namespace: str | None = None) -> list[dict[str, Any]]:
        """Return the traffic up to `now`, in points of `step` minutes, oldest first; empty ones too.

        Each has ``at`` (wall seconds of its start), counts by outcome, ``saved_ms``, ``saved_usd``, ``saved_tokens``,
        and ``hit_p50_ms``, ``hit_p99_ms``, ``miss_p50_ms``, ``miss_p99_ms``: within 8 %, None where there were none.
        """
        end = int(now // 60) // step
        first = end - minutes // step + 1
        groups: dict[int, list[tuple[str, _Cell]]] = {place: [] for place in range(first, end + 1)}
        for minute, cells in self._minutes.items():
            group = groups.get(minute // step)
            if group is not None:
                group.extend(_of(cells, namespace))
        return [{"at": place * step * 60, **_summary(group)} for place, group in groups.items()]

    def total(self, now: float, minutes: int, namespace: str | None = None) -> dict[str, Any]:
        """Return the sum over the last minutes, as one of the `points` without its time."""
        first = int(now // 60) - minutes + 1
        found = [pair for minute, cells in self._minutes.items() if minute >= first for pair in _of(cells, namespace)]
        return _summary(found)


def _of(cells: dict[tuple[str, str], _Cell], namespace: str | None) -> Iterator[tuple[str, _Cell]]:
    return ((outcome, cell) for (name, outcome), cell in cells.items() if namespace in (None, name))


def _summary(cells: Iterable[tuple[str, _Cell]]) -> dict[str, Any]:
    counts = dict.fromkeys(OUTCOMES, 0)
    saved_ms = saved_usd = 0.0
    saved_tokens = 0
    hits: dict[int, int] = {}
    misses: dict[int, int] = {}
    for outcome, cell in cells:
        counts[outcome] = counts.get(outcome, 0) + cell.count
        saved_ms += cell.saved_ms
        saved_usd += cell.saved_usd
        saved_tokens += cell.saved_tokens
        times = hits if outcome in HITS else misses if outcome in ("miss", "error") else None
        if times is not None:
            for place, count in cell.times.items():
                times[place] = times.get(place, 0) + count
    return {
        **{name: counts[name] for name in OUTCOMES},
        "saved_ms": saved_ms,
        "saved_usd": saved_usd,
        "saved_tokens": saved_tokens,
        "hit_p50_ms": _percentile(hits, 0.5),
        "hit_p99_ms": _percentile(hits, 0.99),
        "miss_p50_ms": _percentile(misses, 0.5),
        "miss_p99_ms": _percentile(misses, 0.99),
    }


def _percentile(times: dict[int, int], share: float) -> float | None:
    wanted = share * sum(times.values())
    seen = 0
    for place in sorted(times):
        seen += times[place]
        if seen >= wanted:
            return float(f"{math.exp(place * _LOG_STEP):.3g}")
    return None
