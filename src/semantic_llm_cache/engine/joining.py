"""Take the answer of a call in flight: the same call, or one that asks the same in other words."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

from semantic_llm_cache.engine.call import Call
from semantic_llm_cache.engine.driving import Do, Steps, Wait
from semantic_llm_cache.engine.flights import ABANDONED, DONE, FAILED, Flight, Flights
from semantic_llm_cache.engine.learning import Learning
from semantic_llm_cache.engine.options import Options
from semantic_llm_cache.engine.outcome import AGAIN, ALONE, Failure, Found, Outcome
from semantic_llm_cache.engine.reporting import Reporter
from semantic_llm_cache.exceptions import CacheReentryError, CacheSerializationError
from semantic_llm_cache.matching.decider import Decider
from semantic_llm_cache.values.encoding import Encoded, is_immutable
from semantic_llm_cache.values.offload import opened

__all__ = ["Joining"]

_TOLERANCE = 1e-6


class Joining:
    """Takes the answers of calls in flight, for one engine.

    Args:
        options: the engine's options.
        decider: decides which calls ask the same.
        learning: counts exact hits in the error budget.
        reporter: counts the calls that joined.
    """

    def __init__(self, options: Options, decider: Decider, learning: Learning, reporter: Reporter) -> None:
        self._raising = options.on_error == "raise"
        self._decider = decider
        self._learning = learning
        self._reporter = reporter

    # ------------------------------------------------------------------------------ the same call

    def take(self, call: Call, flight: Flight) -> Steps:
        """Return the answer of an awaited flight, `AGAIN` to start over, or `ALONE` to call alone."""
        error = flight.error
        if flight.state == FAILED or (flight.state == ABANDONED and isinstance(error, Exception) and self._raising):
            assert error is not None
            self._reporter.finish_failed(call, Found("miss" if flight.state == FAILED else "error", ""), error)
            return Failure(error)
        if flight.state == ABANDONED:
            return AGAIN
        outcome: Outcome = flight.result
        hit = outcome.found.outcome in ("exact", "near", "stale")
        if not self._fits(call, outcome, hit):
            return AGAIN
        if outcome.shared is ALONE:
            value = AGAIN if hit else _copy(flight.spare)
        else:
            value = yield from self._copied(call, outcome)
        if value is AGAIN or value is ALONE:
            return value
        self._learning.count_exact(call.request.text, call.settings)
        if hit:
            self._reporter.finish(call, outcome.found)
        else:
            joined = Found(
                "coalesced",
                "joined the same call in flight",
                place=outcome.found.place,
                similarity=outcome.found.similarity,
            )
            self._reporter.finish(call, joined, saved=outcome.used)
        return value

    def _fits(self, call: Call, outcome: Outcome, hit: bool) -> bool:
        found = outcome.found
        if hit and not call.settings.asks.plain:
            return False  # this caller may require a newer answer than the first caller
        if hit and type(outcome.shared) is not Encoded and not is_immutable(outcome.shared):
            return False
        if found.similarity is None or found.outcome not in ("near", "coalesced"):
            return True
        # The answer may satisfy the first caller but not this one.
        return found.similarity >= call.settings.similarity - _TOLERANCE

    def _copied(self, call: Call, outcome: Outcome) -> Steps:
        """Return this caller's own copy of an answer, or `ALONE` if it cannot be rebuilt to its type."""
        try:
            return (yield Do(lambda: opened(outcome.shared, call.settings.target), waits=False))
        except CacheSerializationError:
            return ALONE

    # ------------------------------------------------------------------------------ the same meaning

    def by_meaning(self, call: Call, flights: Flights, flight: Flight) -> Steps:
        """Wait for a call in flight that asks the same, if there is one, and end `flight` with its answer.

        Return the answer, or `AGAIN` if `flight` must make its own call: no other asks the same, or it has failed.
        """
        other = self._same_meaning(call, flights, flight)
        if other is None:
            return AGAIN
        with contextlib.suppress(CacheReentryError):  # it waits for this one: both run
            yield Wait(flights, other, flight)
        if other.state == DONE and other.result.shared is not ALONE:
            outcome: Outcome = other.result
            value = yield from self._copied(call, outcome)
            if value is not ALONE:
                similarity = max(0.0, float(call.found.vector @ other.vector))
                joined = Found(
                    "coalesced",
                    f"joined a call in flight, similarity {similarity:.3f}",
                    place=outcome.found.place,
                    similarity=similarity,
                    nearest_prompt=other.text,
                )
                flights.land(flight, DONE, outcome._replace(found=joined))
                self._reporter.finish(call, joined, saved=outcome.used)
                return value
        # It failed or was abandoned: this flight makes its own call, which others may join.
        flights.calling(flight, call.found.embedder, call.found.vector, lambda _: False)
        return AGAIN

    def _same_meaning(self, call: Call, flights: Flights, flight: Flight) -> Flight | None:
        request, vector, threshold = call.request, call.found.vector, call.settings.similarity
        if vector is None:
            return None

        def alike(other: Flight) -> bool:
            if vector.shape != other.vector.shape:
                return False
            similarity = max(0.0, float(vector @ other.vector))
            return self._decider.same_in_flight(request, other.text, similarity, threshold)

        return flights.calling(flight, call.found.embedder, vector, alike)


def _copy(spare: tuple[Any] | None) -> Any:
    """Return a copy of an answer that cannot be stored, or `ALONE` if there is none."""
    if spare is None:
        return ALONE
    try:
        return copy.deepcopy(spare[0])
    except Exception:
        return ALONE
