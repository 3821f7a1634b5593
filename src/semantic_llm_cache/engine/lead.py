"""Leading and joining: of the calls that ask for one key at a time, one runs the function for all."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from time import perf_counter
from typing import Any

from semantic_llm_cache.calls.settings import CallSettings
from semantic_llm_cache.engine.flights import ABANDONED, DONE, FAILED, Flight, Flights, current_chain
from semantic_llm_cache.engine.search import ALONE, Found, Outage, Outcome, Sentinel
from semantic_llm_cache.engine.shadow import Shadowing, maybe_await
from semantic_llm_cache.engine.state import BackendState
from semantic_llm_cache.exceptions import (
    CacheBackendError,
    CacheReentryError,
    CacheSerializationError,
    PromptCacheError,
)
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.runtime import background
from semantic_llm_cache.values.encoding import Encoded, is_immutable, thaw
from semantic_llm_cache.values.offload import inline, is_large, opened
from semantic_llm_cache.values.rebuilding import rebuild

__all__ = ["AGAIN", "MISS", "Leading", "maybe_await", "need_asyncio"]

_PLAIN = frozenset({str, int, float, bool, type(None), bytes})
MISS: Any = Sentinel("MISS")
AGAIN: Any = Sentinel("AGAIN")


class Leading(Shadowing):
    """The part of the engine that runs the function, once for all who wait."""

    async def _lead(
        self,
        state: BackendState,
        flight: Flight,
        request: Request,
        call: Callable[[], Any],
        settings: CallSettings,
        started: float,
    ) -> Any:
        flights = state.flights
        try:
            found = await self.find(request, settings)
            if found.outcome == "stale":
                if self._refreshable(found):
                    self._refresh(state, request, call, settings)
                    shared = await self._for_others(flight, settings, found)
                    return self._land_hit(state, flight, request, settings, found, started, shared)
                found = replace(await self.find(request, settings, exact=False), fallback=found)
            if found.outcome in ("exact", "near"):
                shared = await self._for_others(flight, settings, found)
                return self._land_hit(state, flight, request, settings, found, started, shared)
            other = self._same_meaning(state, flight, request, settings, found)
            if other is not None:
                with contextlib.suppress(CacheReentryError):  # it waits for this one: both run
                    await flights.wait(other, flight)
                copied = await self._opened(other, settings)
                value = self._land_joined(state, flight, other, request, settings, found, started, copied)
                if value is not AGAIN:
                    return value
            if self._leases(settings, found):
                answer = await self.claim_flight(state, flight, request, settings, found)
                if answer is not None:
                    shared = await self.shared(answer.value, settings.target)
                    return self._land_answer(state, flight, request, settings, answer, started, shared)
        except BaseException as error:
            self._land_trouble(state, flight, request, settings, started, error)
            raise
        loop = asyncio.get_running_loop()
        # A task of its own: the first caller may leave, and those who wait are still served.
        task = loop.create_task(self._run(state, flight, request, call, settings, found))

        def cancel() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and its tasks with it
                loop.call_soon_threadsafe(task.cancel)

        flight.cancel = cancel
        # For a task that was cancelled before its first step; in all other cases it has landed by then.
        task.add_done_callback(lambda _: _gone(flights, flight, found))
        try:
            await flights.wait(flight)
        except BaseException:
            flight.led = False
            raise
        if flight.state != DONE:
            failure = flight.error if flight.error is not None else asyncio.CancelledError()
            self._finish_failed(request, settings, found, started, failure)
            raise failure
        outcome: Outcome = flight.result
        self._finish(request, settings, outcome.found, started, stored=outcome.stored)
        return outcome.original

    async def _run(
        self,
        state: BackendState,
        flight: Flight,
        request: Request,
        call: Callable[[], Any],
        settings: CallSettings,
        found: Found,
    ) -> None:
        flights = state.flights
        current_chain.set((*current_chain.get(), flight))
        try:
            began = perf_counter()
            value = call()
            if inspect.isawaitable(value):
                value = await value
            duration = (perf_counter() - began) * 1000
        except Exception as error:
            outcome = self._instead(found, settings, error)
            if outcome is None:
                flights.land(flight, FAILED, error=error)
            else:
                flights.land(flight, DONE, outcome)
            return
        except BaseException as error:
            flights.land(flight, ABANDONED, error=error)
            if isinstance(error, (asyncio.CancelledError, GeneratorExit)) or not flight.led:
                raise
            return  # the first caller raises it, where it belongs
        try:
            outcome = await self.admit(request, settings, value, found, duration)
            self._spare(flight, outcome)
        except Exception as error:
            flights.land(flight, ABANDONED, error=error)
        except BaseException:
            flights.land(flight, ABANDONED)
            raise
        else:
            flights.land(flight, DONE, outcome)

    def _lead_blocking(
        self,
        state: BackendState,
        flight: Flight,
        request: Request,
        call: Callable[[], Any],
        settings: CallSettings,
        started: float,
    ) -> Any:
        flights = state.flights
        try:
            found = self._complete(lambda: self.find(request, settings), settings)
            if found.outcome == "stale":
                if self._refreshable(found):
                    self._refresh(state, request, lambda: asyncio.to_thread(call), settings)
                    shared = self._for_others_blocking(flight, settings, found)
                    return self._land_hit(state, flight, request, settings, found, started, shared)
                fresh = self._complete(lambda: self.find(request, settings, exact=False), settings)
                found = replace(fresh, fallback=found)
            if found.outcome in ("exact", "near"):
                shared = self._for_others_blocking(flight, settings, found)
                return self._land_hit(state, flight, request, settings, found, started, shared)
            other = self._same_meaning(state, flight, request, settings, found)
            if other is not None:
                with contextlib.suppress(CacheReentryError):
                    flights.wait_blocking(other, flight)
                value = self._land_joined(state, flight, other, request, settings, found, started)
                if value is not AGAIN:
                    return value
            if self._leases(settings, found):
                answer = background.run(self.claim_flight(state, flight, request, settings, found))
                if answer is not None:
                    shared = self.share(answer.value, settings.target)
                    return self._land_answer(state, flight, request, settings, answer, started, shared)
        except BaseException as error:
            self._land_trouble(state, flight, request, settings, started, error)
            raise
        try:
            return self._call_blocking(state, flight, request, call, settings, found, started)
        finally:
            if found.lease is not None:
                found.lease.release()

    def _call_blocking(
        self,
        state: BackendState,
        flight: Flight,
        request: Request,
        call: Callable[[], Any],
        settings: CallSettings,
        found: Found,
        started: float,
    ) -> Any:
        flights = state.flights
        token = current_chain.set((*current_chain.get(), flight))
        try:
            began = perf_counter()
            value = call()
            duration = (perf_counter() - began) * 1000
        except BaseException as error:
            instead = self._instead(found, settings, error)
            if instead is not None:
                flights.land(flight, DONE, instead)
                self._finish(request, settings, instead.found, started)
                return instead.original
            flights.land(flight, FAILED if isinstance(error, Exception) else ABANDONED, error=error)
            self._finish_failed(request, settings, found, started, error)
            raise
        finally:
            current_chain.reset(token)
        try:
            weighed = self.weigh(value, settings)  # here, as it may call the user's code
            outcome = self._complete(
                lambda: self.admit(request, settings, value, found, duration, weighed), settings, store=True
            )
            self._spare(flight, outcome)
        except BaseException as error:
            self._land_trouble(state, flight, request, settings, started, error)
            raise
        flights.land(flight, DONE, outcome)
        self._finish(request, settings, outcome.found, started, stored=outcome.stored)
        return value

    # ---------------------------------------------------------------------------- stale answers

    def _refreshable(self, found: Found) -> bool:
        return found.late < self.stale_while_revalidate

    def _refresh(self, state: BackendState, request: Request, call: Callable[[], Any], settings: CallSettings) -> None:
        """Fetch a fresh answer after the caller has gone on with the stale one; once at a time per key."""
        if state.flights.begin_refresh(request.key):
            self.trust.later(self._refreshing(state, request, call, settings))

    async def _refreshing(
        self, state: BackendState, request: Request, call: Callable[[], Any], settings: CallSettings
    ) -> None:
        found = Found("miss", "")
        try:
            if settings.similarity < 1 and request.text:
                with contextlib.suppress(Outage):
                    await self.embed(request, found)
            # This caller may have read the old answer just before another refresh put a new one in its place.
            if self._leases(settings, found):
                if not await self.claim_refresh(state, request, settings, found):
                    return
            elif await self._is_fresh(request, settings):
                return
            began = perf_counter()
            value = await maybe_await(call())
            await self.admit(request, settings, value, found, (perf_counter() - began) * 1000)
        except Exception as error:
            self.log_once("refresh", f"a stale answer could not be refreshed: {describe(error)}")
        finally:
            state.flights.end_refresh(request.key)
            if found.lease is not None:
                found.lease.release()

    def _instead(self, found: Found, settings: CallSettings, error: BaseException) -> Outcome | None:
        """Return the stale answer to give instead of an error, where `stale_if_error` allows it."""
        stale = found.fallback
        if stale is None or stale.entry is None or not isinstance(error, Exception):
            return None
        if getattr(error, "final", False):
            return None  # not an outage: the provider has refused this caller
        if stale.late >= self.stale_if_error:
            return None
        stale.reason = f"stale, since the call failed: {type(error).__name__}"
        shared = self.share(stale.value, settings.target)
        return Outcome(stale, stale.value, shared, stale.entry.duration_ms, stale.entry.cost_usd, False)

    def _complete(self, make: Callable[[], Any], settings: CallSettings, store: bool = False) -> Any:
        """Run a coroutine of ours from plain code: here when nothing waits, else on the background loop."""
        if self.backend.in_process and (settings.similarity >= 1 or (store and self.trust.plain)):
            coroutine = make()
            with inline():
                try:
                    coroutine.send(None)
                except StopIteration as stop:
                    return stop.value
            coroutine.close()
            raise CacheBackendError(f"{self.backend.url} says in_process, but its methods wait")
        return background.run(make())

    def _held(self, flight: Flight, found: Found) -> tuple[Any, bool]:
        """Return a hit in a form for those who wait, and whether it has to be made one first."""
        assert found.entry is not None
        held = found.value if is_immutable(found.value) else found.entry.response
        return held, flight.waiters > 1 and type(held) is not Encoded and not is_immutable(held)

    async def _for_others(self, flight: Flight, settings: CallSettings, found: Found) -> Any:
        held, make = self._held(flight, found)
        return await self.shared(found.value, settings.target) if make else held

    def _for_others_blocking(self, flight: Flight, settings: CallSettings, found: Found) -> Any:
        held, make = self._held(flight, found)
        return self.share(found.value, settings.target) if make else held

    def _land_hit(
        self,
        state: BackendState,
        flight: Flight,
        request: Request,
        settings: CallSettings,
        found: Found,
        started: float,
        shared: Any,
    ) -> Any:
        """End a flight with a hit; `shared` is what those who wait read."""
        assert found.entry is not None
        cost = found.entry.cost_usd
        state.flights.land(flight, DONE, Outcome(found, None, shared, found.entry.duration_ms, cost, False))
        self._finish(request, settings, found, started)
        return found.value

    def _land_answer(
        self,
        state: BackendState,
        flight: Flight,
        request: Request,
        settings: CallSettings,
        found: Found,
        started: float,
        shared: Any,
    ) -> Any:
        """End a flight with the answer that another process has stored; `shared` is what those who wait read."""
        assert found.entry is not None
        cost = found.entry.cost_usd
        state.flights.land(flight, DONE, Outcome(found, None, shared, found.entry.duration_ms, cost, False))
        self._finish(request, settings, found, started, cost=cost)
        return found.value

    async def _opened(self, flight: Flight, settings: CallSettings) -> Any:
        """Return a copy of the answer that a flight has ended with, where it is large; else `MISS`."""
        if flight.state != DONE or type(flight.result.shared) is not Encoded or not is_large(flight.result.shared):
            return MISS
        try:
            return await opened(flight.result.shared, settings.target)
        except CacheSerializationError:
            return MISS  # who asks for it next meets the same

    def _same_meaning(
        self, state: BackendState, flight: Flight, request: Request, settings: CallSettings, found: Found
    ) -> Flight | None:
        if found.vector is None:
            return None
        trust, threshold, vector = self.trust, settings.similarity, found.vector
        return state.flights.calling(
            flight,
            found.embedder,
            vector,
            lambda other: (
                vector.shape == other.vector.shape
                and trust.same_in_flight(request.text, other.text, max(0.0, float(vector @ other.vector)), threshold)
            ),
        )

    def _land_joined(
        self,
        state: BackendState,
        flight: Flight,
        other: Flight,
        request: Request,
        settings: CallSettings,
        found: Found,
        started: float,
        copied: Any = MISS,
    ) -> Any:
        """End `flight` with the answer of `other`, which asks the same; or say that it must be asked again."""
        if other.state == DONE and other.result.shared is not ALONE:
            outcome: Outcome = other.result
            try:
                value = rebuild(thaw(outcome.shared), settings.target) if copied is MISS else copied
            except CacheSerializationError:
                value = AGAIN
            if value is not AGAIN:
                similarity = max(0.0, float(found.vector @ other.vector))
                joined = Found(
                    "coalesced",
                    f"joined a call in flight, similarity {similarity:.3f}",
                    similarity=similarity,
                    nearest_prompt=other.text,
                )
                state.flights.land(flight, DONE, outcome._replace(found=joined))
                self._finish(request, settings, joined, started, cost=outcome.cost_usd)
                return value
        # It failed or went away: this one runs its own call, and others may join that.
        state.flights.calling(flight, found.embedder, found.vector, lambda _: False)
        return AGAIN

    def _land_trouble(
        self,
        state: BackendState,
        flight: Flight,
        request: Request,
        settings: CallSettings,
        started: float,
        error: BaseException,
    ) -> None:
        """End a flight that met trouble of the cache, or was cancelled, before or after the function ran."""
        state.flights.land(flight, ABANDONED, error=error)
        self._finish_failed(request, settings, Found("error", ""), started, error)

    def _spare(self, flight: Flight, outcome: Outcome) -> None:
        """Have a copy of an answer that cannot be stored, before the first caller may change it."""
        if outcome.shared is ALONE and flight.waiters > flight.led:
            with contextlib.suppress(Exception):
                flight.spare = (copy.deepcopy(outcome.original),)

    @contextlib.contextmanager
    def _calling_alone(self, request: Request, settings: CallSettings, started: float) -> Iterator[None]:
        found = Found("miss", "the call in flight could not be shared")
        try:
            yield
        except BaseException as error:
            self._finish_failed(request, settings, found, started, error)
            raise
        self._finish(request, settings, found, started)

    def _join(
        self, flight: Flight, request: Request, settings: CallSettings, started: float, copied: Any = MISS
    ) -> Any:
        """Return the answer of a flight that was waited for, `AGAIN` to start over, `ALONE` to call alone.

        `copied` is a copy of it, where one has been made.
        """
        if flight.state == FAILED or (
            flight.state == ABANDONED and isinstance(flight.error, Exception) and self.on_error == "raise"
        ):
            assert flight.error is not None
            failed = Found("miss" if flight.state == FAILED else "error", "")
            self._finish_failed(request, settings, failed, started, flight.error)
            raise flight.error
        if flight.state == ABANDONED:
            return AGAIN
        outcome: Outcome = flight.result
        found = outcome.found
        hit = found.outcome in ("exact", "near", "stale")
        if hit and settings.control is not None:
            return AGAIN  # this caller may want a younger answer than the one who asked first
        if found.similarity is not None and found.outcome in ("near", "coalesced"):
            if found.similarity < settings.similarity - 1e-6:
                return AGAIN  # good enough for the one who asked first, not for this caller
        if outcome.shared is ALONE:
            if hit:
                return AGAIN  # read it for oneself
            if flight.spare is None:
                return ALONE
            try:
                value = copy.deepcopy(flight.spare[0])
            except Exception:
                return ALONE
        elif hit and type(outcome.shared) is not Encoded and not is_immutable(outcome.shared):
            return AGAIN
        else:
            try:
                value = rebuild(thaw(outcome.shared), settings.target) if copied is MISS else copied
            except CacheSerializationError:
                return ALONE
        if self.trust.bounded:
            policy = self.bound()[1].policies.get(self.policy_name())
            if policy is not None:
                policy.count_exact()
        if hit:
            self._finish(request, settings, found, started)
        else:
            joined = Found("coalesced", "joined the same call in flight", similarity=found.similarity)
            self._finish(request, settings, joined, started, cost=outcome.cost_usd)
        return value


def _gone(flights: Flights, flight: Flight, found: Found) -> None:
    """End a flight whose task has ended, and its lease."""
    flights.land(flight, ABANDONED)
    if found.lease is not None:
        found.lease.release()


def need_asyncio() -> asyncio.AbstractEventLoop:
    """Return the running loop. Raises PromptCacheError where there is none, as under trio."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise PromptCacheError(
            "semantic-llm-cache runs on asyncio, and no asyncio loop is running here: under trio, use anyio with "
            "its asyncio backend, or decorate a plain function"
        ) from None
