"""Answer calls: of concurrent calls for one key, one leads and runs the function for all."""

from __future__ import annotations

import asyncio
import contextlib
import copy
from contextvars import copy_context
from typing import Any

from semantic_llm_cache.calls.refusals import because
from semantic_llm_cache.engine.admission import Admission
from semantic_llm_cache.engine.call import Call
from semantic_llm_cache.engine.driving import Carry, Do, Run, Steps, Wait
from semantic_llm_cache.engine.flights import ABANDONED, DONE, FAILED, Flight, Flights
from semantic_llm_cache.engine.freshness import Freshness
from semantic_llm_cache.engine.joining import Joining
from semantic_llm_cache.engine.leases import Leases
from semantic_llm_cache.engine.outcome import AGAIN, ALONE, MISS, Failure, Found, Outcome, Used
from semantic_llm_cache.engine.reporting import Reporter
from semantic_llm_cache.engine.search import Search
from semantic_llm_cache.engine.variables import changes_since, set_here
from semantic_llm_cache.values.encoding import Encoded, is_immutable

__all__ = ["Lead"]


class Lead:
    """Answers the calls of one engine.

    Args:
        search: looks for an answer.
        admission: stores a fresh one.
        freshness: handles stale answers.
        leases: agrees with other processes on who calls.
        joining: takes the answers of calls in flight.
        reporter: counts the calls.
    """

    def __init__(
        self,
        search: Search,
        admission: Admission,
        freshness: Freshness,
        leases: Leases,
        joining: Joining,
        reporter: Reporter,
    ) -> None:
        self._search = search
        self._admission = admission
        self._freshness = freshness
        self._leases = leases
        self._joining = joining
        self._reporter = reporter

    def answer(self, call: Call, flights: Flights) -> Steps:
        """Join the same call in flight, or lead."""
        request = call.request
        loop = None if call.plain else asyncio.get_running_loop()
        if call.settings.evidence is not None:
            yield Do(lambda: self._search.grounds.resolve(call))
        while True:
            flight, leads = flights.join(call.flight_key, call.flight_scope, request.text, loop, call.labels)
            if leads:
                return (yield from self._lead(call, flights, flight))
            value = ALONE
            if (yield Wait(flights, flight)):
                value = yield from self._joining.take(call, flight)
            if value is ALONE:
                return (yield from self._call_alone(call))
            if value is not AGAIN:
                return value

    def _call_alone(self, call: Call) -> Steps:
        assert call.function is not None
        found = Found("miss", "the call in flight could not be shared")
        ran = yield Run(call.function, call.watch)
        if ran.error is not None:
            self._reporter.finish_failed(call, found, ran.error)
            return Failure(ran.error)
        self._reporter.finish(call, found, refused=because("in-flight"))
        return ran.value

    # ------------------------------------------------------------------------------ leading

    def _lead(self, call: Call, flights: Flights, flight: Flight) -> Steps:
        """Answer a call for everyone who waits for `flight`."""
        try:
            value = yield from self._look(call, flights, flight)
        except BaseException as error:
            flights.land(flight, ABANDONED, error=error)
            self._reporter.finish_failed(call, Found("error", ""), error)
            raise
        if value is not MISS:
            return value
        found = call.found
        yield Carry(self._call_for_all(call, flights, flight), flights, flight, found.release)
        set_here(call.changes)
        if flight.state == DONE:
            outcome: Outcome = flight.result
            self._reporter.finish(call, outcome.found, stored=outcome.stored, refused=outcome.refused)
            return outcome.original
        failure = flight.error if flight.error is not None else asyncio.CancelledError()
        self._reporter.finish_failed(call, found if flight.state == FAILED else Found("error", ""), failure)
        return Failure(failure)

    def _look(self, call: Call, flights: Flights, flight: Flight) -> Steps:
        """Return an answer that needs no call; `MISS` when the function must be called."""
        found = yield self._find(call)
        if found.outcome == "stale":
            if self._freshness.may_serve(found):
                self._freshness.refresh(call)
                return (yield from self._land_hit(call, flights, flight))
            stale = found
            found = yield self._find(call, exact=False)
            found.fallback = stale
        if found.outcome in ("exact", "near"):
            return (yield from self._land_hit(call, flights, flight))
        value = yield from self._joining.by_meaning(call, flights, flight)
        if value is not AGAIN:
            return value
        if self._leases.needed(call):
            answer = yield Do(lambda: self._leases.claim_flight(call, flight))
            if answer is not None:
                shared = yield Do(lambda: self._admission.shared(answer.value, call.settings), waits=False)
                return self._land(call, flights, flight, answer, shared)
        return MISS

    def _find(self, call: Call, exact: bool = True) -> Do:
        return Do(lambda: self._search.find(call, exact=exact), self._search.may_wait(call))

    def _land_hit(self, call: Call, flights: Flights, flight: Flight) -> Steps:
        """End a flight with the hit that was found."""
        found = call.found
        assert found.entry is not None
        shared = found.value if is_immutable(found.value) else found.entry.response
        if flight.waiters > 1 and type(shared) is not Encoded and not is_immutable(shared):
            shared = yield Do(lambda: self._admission.shared(found.value, call.settings), waits=False)
        return self._land(call, flights, flight, found, shared)

    def _land(self, call: Call, flights: Flights, flight: Flight, found: Found, shared: Any) -> Any:
        """End a flight with an answer from the cache; `shared` is what the waiters read."""
        assert found.entry is not None
        used = Used.of(found.entry)
        flights.land(flight, DONE, Outcome(found, None, shared, found.entry.duration_ms, used, False))
        self._reporter.finish(call, found, saved=used)
        return found.value

    # ------------------------------------------------------------------------------ calling

    def _call_for_all(self, call: Call, flights: Flights, flight: Flight) -> Steps:
        """Call the function, store its answer, and end the flight with it."""
        assert call.function is not None
        before = copy_context()
        ran = yield Run(call.function, call.watch)
        if not call.plain:  # plain code runs in its caller's own context
            call.changes = changes_since(before)
        if ran.error is not None:
            yield from self._land_failure(call, flights, flight, ran.error)
            gone = isinstance(ran.error, (asyncio.CancelledError, GeneratorExit)) or not flight.led
            # The first caller raises it, unless it has left.
            return Failure(ran.error) if gone and not isinstance(ran.error, Exception) else None
        if flight.gone:  # the function was told to stop: what it returned may be only a part
            flights.land(flight, ABANDONED)
            return None
        try:
            # Separate from `admit`, as it may run the user's code, which in plain code must run in this thread.
            fresh = yield Do(lambda: self._admission.weigh(call, ran.value, ran.duration_ms), waits=False)
            outcome = yield Do(lambda: self._admission.admit(call, fresh), self._admission.may_wait(call))
            _spare(flight, outcome)
        except BaseException as error:
            flights.land(flight, ABANDONED, error=error)
            if not isinstance(error, Exception):
                raise
        else:
            flights.land(flight, DONE, outcome)
        return None

    def _land_failure(self, call: Call, flights: Flights, flight: Flight, error: BaseException) -> Steps:
        outcome = None
        if self._freshness.may_stand_in(call, error):
            waits = self._search.may_wait(call)
            outcome = yield Do(lambda: self._freshness.outcome_in_place_of(call, error), waits)
        if outcome is not None:
            flights.land(flight, DONE, outcome)
        elif isinstance(error, Exception):
            flights.land(flight, FAILED, error=error)
        else:
            flights.land(flight, ABANDONED, error=error)


def _spare(flight: Flight, outcome: Outcome) -> None:
    """Keep a copy of an answer that cannot be stored, before the first caller may change it."""
    if outcome.shared is ALONE and flight.waiters > flight.led:
        with contextlib.suppress(Exception):
            flight.spare = (copy.deepcopy(outcome.original),)
