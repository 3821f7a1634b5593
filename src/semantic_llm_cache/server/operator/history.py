"""What the calls of this process were, lately: bounded in memory, filled by a listener of the engine."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.calls.refusals import REASONS, word_of
from semantic_llm_cache.runtime.fork import fork_safe_lock
from semantic_llm_cache.server.operator.comparisons import Comparisons
from semantic_llm_cache.server.operator.minutes import Minutes

__all__ = ["Event", "History"]

_RECENT = 500
_NEAR = 500
_LONGEST_TEXT = 2000
_MOST_SCOPES = 1000


class Event(NamedTuple):
    """A call.

    Attributes:
        number: counts the calls of this process.
        at: when it ended, in wall seconds.
        lookup: its record, with long texts cut and without the answer.
    """

    number: int
    at: float
    lookup: Lookup


class _Scope:
    """The calls of one scope."""

    __slots__ = ("hits", "requests", "saved_usd")

    def __init__(self) -> None:
        self.requests = 0
        self.hits = 0
        self.saved_usd = 0.0


class History:
    """The recent calls of this process. `record` may be called by any thread.

    Args:
        minutes: how many minutes the series by minute goes back.
        clock: wall time in seconds.

    Attributes:
        since: when it began, in wall seconds.
        count: how many calls there were.
    """

    def __init__(self, minutes: int = 1440, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = fork_safe_lock(reentrant=True)  # the garbage collector may report a stream that was left
        self.since = clock()
        self.count = 0
        self._minutes = Minutes(minutes)
        self._comparisons = Comparisons()
        self._recent: deque[Event] = deque(maxlen=_RECENT)
        self._near_hits: deque[Event] = deque(maxlen=_NEAR)
        self._near_misses: deque[Event] = deque(maxlen=_NEAR)
        self._not_stored: Counter[tuple[str, str]] = Counter()
        self._scopes: OrderedDict[tuple[str, str], _Scope] = OrderedDict()
        self._verdicts: OrderedDict[str, str] = OrderedDict()

    def record(self, lookup: Lookup, tokens: int = 0) -> None:
        """Add a call, and how many tokens it saved. Takes some 5 microseconds."""
        now = self._clock()
        kept = _cut(lookup)
        with self._lock:
            self.count += 1
            event = Event(self.count, now, kept)
            self._minutes.add(now, lookup, tokens)
            self._recent.append(event)
            kind = self._comparisons.add(now, lookup)
            if kind == "hit":
                self._near_hits.append(event)
            elif kind is not None:
                self._near_misses.append(event)
            if lookup.stored_reason:
                self._not_stored[(self._minutes.counted_as(lookup.namespace), word_of(lookup.stored_reason))] += 1
            if lookup.scope:
                self._count_scope(lookup)

    def _count_scope(self, lookup: Lookup) -> None:
        name = (lookup.namespace, lookup.scope)
        found = self._scopes.get(name)
        if found is None:
            found = self._scopes[name] = _Scope()
            if len(self._scopes) > _MOST_SCOPES:
                self._scopes.popitem(last=False)
        else:
            self._scopes.move_to_end(name)
        found.requests += 1
        found.hits += lookup.hit
        found.saved_usd += lookup.saved_usd

    # ------------------------------------------------------------------------------ reading

    def traffic(self, minutes: int, step: int, namespace: str | None = None) -> dict[str, Any]:
        """Return ``points`` and ``total`` of the last minutes, see `Minutes`, and the ``namespaces`` that had calls.

        Takes some 0.1 s where many namespaces are in use: call it in a thread.
        """
        now = self._clock()
        with self._lock:
            found = self._minutes.copy()
        return {
            "points": found.points(now, minutes, step, namespace),
            "total": found.total(now, minutes, namespace),
            "namespaces": found.namespaces,
        }

    def histogram(self, bins: int, namespace: str | None = None) -> dict[str, Any]:
        """Return how many calls met which similarity: see `Comparisons.histogram`."""
        with self._lock:
            found = self._comparisons.copy()
        return found.histogram(bins, namespace)

    def counts_at(self, threshold: float, namespace: str | None = None) -> dict[str, Any]:
        """Return how many calls another threshold would have changed: see `Comparisons.counts_at`."""
        with self._lock:
            found = self._comparisons.copy()
        return found.counts_at(threshold, namespace)

    def recent(self, after: int = 0, limit: int = 100, namespace: str | None = None) -> list[Event]:
        """Return the last calls with a number above `after`, newest first."""
        return self._last(self._recent, limit, namespace, after)

    def near_hits(self, limit: int, namespace: str | None = None) -> list[Event]:
        """Return the last near hits, newest first; would-be hits of shadow mode too."""
        return self._last(self._near_hits, limit, namespace)

    def near_misses(self, limit: int, namespace: str | None = None) -> list[Event]:
        """Return the last misses that were compared with a stored prompt, newest first."""
        return self._last(self._near_misses, limit, namespace)

    def _last(self, events: deque[Event], limit: int, namespace: str | None, after: int = 0) -> list[Event]:
        with self._lock:
            found = list(events)
        chosen = [one for one in reversed(found) if one.number > after and namespace in (None, one.lookup.namespace)]
        return chosen[:limit]

    def not_stored(self, namespace: str | None = None) -> list[dict[str, Any]]:
        """Return why answers were not stored: the reason, its meaning, and how often, most frequent first."""
        with self._lock:
            counts: Counter[str] = Counter()
            for (name, word), count in self._not_stored.items():
                if namespace in (None, name):
                    counts[word] += count
        return [
            {
                "reason": word,
                "meaning": REASONS[word].meaning if word in REASONS else "",
                "expected": word in REASONS and REASONS[word].expected,
                "count": count,
            }
            for word, count in counts.most_common()
        ]

    def scopes(self, limit: int, namespace: str | None = None) -> list[dict[str, Any]]:
        """Return the scopes with most calls, of the last 1,000 in use; a scope is shown by the start of its hash."""
        with self._lock:
            found = [(one.requests, *name, one) for name, one in self._scopes.items() if namespace in (None, name[0])]
        found.sort(key=lambda one: -one[0])
        return [
            {"namespace": name, "scope": scope[:12], "requests": count, "hits": one.hits, "saved_usd": one.saved_usd}
            for count, name, scope, one in found[:limit]
        ]

    # ------------------------------------------------------------------------------ verdicts

    def judged(self, id: str, verdict: str) -> None:
        """Remember what was reported about a call, so that lists of calls show it."""
        with self._lock:
            self._verdicts[id] = verdict
            while len(self._verdicts) > _NEAR:
                self._verdicts.popitem(last=False)

    def verdict(self, id: str) -> str | None:
        """Return ``"wrong"`` or ``"right"`` if it was reported about a call."""
        return self._verdicts.get(id)


def _cut(lookup: Lookup) -> Lookup:
    """Return a record that is small enough to keep."""
    prompt, matched = lookup.prompt, lookup.matched_prompt
    if len(prompt) <= _LONGEST_TEXT and len(matched or "") <= _LONGEST_TEXT:
        return lookup.without_response()
    matched = None if matched is None else matched[:_LONGEST_TEXT]
    return replace(lookup, prompt=prompt[:_LONGEST_TEXT], matched_prompt=matched, response=None)
