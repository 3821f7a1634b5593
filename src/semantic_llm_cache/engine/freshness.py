"""Expired answers: served while a fresh one is fetched, or instead of an error."""

from __future__ import annotations

import asyncio
import contextlib
from time import perf_counter
from typing import Any

from semantic_llm_cache.calls.refusals import NotStored
from semantic_llm_cache.engine import late
from semantic_llm_cache.engine.access import Access
from semantic_llm_cache.engine.admission import Admission
from semantic_llm_cache.engine.call import Call
from semantic_llm_cache.engine.flights import Flights
from semantic_llm_cache.engine.leases import Leases
from semantic_llm_cache.engine.notices import Notices
from semantic_llm_cache.engine.options import Options
from semantic_llm_cache.engine.outcome import Found, Outage, Outcome, Used
from semantic_llm_cache.engine.search import Search
from semantic_llm_cache.exceptions import CacheBackendError
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.runtime import background
from semantic_llm_cache.runtime.awaiting import maybe_await

__all__ = ["Freshness"]


class Freshness:
    """Stale answers of one engine.

    Args:
        options: the engine's options.
        access: to storage and embedder.
        search: finds whether a fresh answer is already there.
        admission: stores the fresh answer.
        leases: agrees with other processes on which one fetches it.
        notices: logs problems.
    """

    def __init__(
        self, options: Options, access: Access, search: Search, admission: Admission, leases: Leases, notices: Notices
    ) -> None:
        self._while_revalidate = options.stale_while_revalidate or 0.0
        self._if_error = options.stale_if_error or 0.0
        self._access = access
        self._search = search
        self._admission = admission
        self._leases = leases
        self._notices = notices

    def may_serve(self, found: Found) -> bool:
        """Return whether a stale answer may be served while a fresh one is fetched."""
        return found.late < self._while_revalidate

    def refresh(self, call: Call) -> None:
        """Fetch a fresh answer after the caller has continued with the stale one; one at a time per key."""
        flights = self._access.storage().state.flights
        if flights.begin_refresh(call.flight_key):
            again, stale = call.again(), call.found.entry
            self._access.reuse(stale, again)
            background.later(self._fetch(again, flights))

    async def _fetch(self, call: Call, flights: Flights) -> None:
        try:
            if call.needs_vector and call.found.vector is None:
                with contextlib.suppress(Outage):
                    await self._access.embed(call.request.text, call.found)
            # This caller may have read the old answer just before another refresh replaced it.
            if self._leases.needed(call):
                if not await self._leases.claim_refresh(call, flights):
                    return
            elif await self._search.is_fresh(call):
                return
            began = perf_counter()
            value = await _called(call)
            fresh = await self._admission.weigh(call, value, (perf_counter() - began) * 1000)
            self._notices.refused((await self._admission.admit(call, fresh)).refused)
        except Exception as error:
            if type(error) is NotStored:  # not one of its kinds, which stand for calls that failed
                self._notices.refused(error.reason)
            else:
                self._notices.log_once("refresh", f"a stale answer could not be refreshed: {describe(error)}")
        finally:
            flights.end_refresh(call.flight_key)
            call.found.release()

    def may_stand_in(self, call: Call, error: BaseException) -> bool:
        """Return whether there is a stale answer that `stale_if_error` may give instead of an error."""
        if call.found.fallback is None or not self._if_error or not isinstance(error, Exception):
            return False
        return not getattr(error, "final", False)  # final: no outage, the provider refused this caller

    async def in_place_of(self, call: Call, error: BaseException) -> Found | None:
        """Return the answer to give instead of an error, if `stale_if_error` allows it.

        The call may have run for a long time, so the stale answer is looked up again: it may have been removed or
        replaced meanwhile, and what it rests on may have changed. If the storage cannot be read now, the answer that
        was read before the call is checked.
        """
        if not self.may_stand_in(call, error):
            return None
        found = await self._look_again(call)
        if found is None or found.entry is None or found.outcome not in ("exact", "stale"):
            return None
        with contextlib.suppress(Outage, CacheBackendError):  # nobody has said then that it was
            if await late.withdrawn_since(self._access.storage(), call, found.entry.tags):
                return None  # it was invalidated while the call ran
        if found.outcome == "stale":
            if self._search.late(found.entry) >= self._if_error:
                return None
            found.reason = f"stale, since the call failed: {type(error).__name__}"
        return found

    async def _look_again(self, call: Call) -> Found | None:
        again, stale = call.rechecked(), call.found.fallback
        try:
            found = await self._search.find(again, probing=True)
        except Exception as error:  # on_error="raise"; but the caller must get the error of the call, not this one
            self._notices.log_once("recheck", f"a stale answer could not be read again: {describe(error)}")
        else:
            if found.outcome != "error":
                return found
        assert stale is not None
        assert stale.entry is not None
        changed = await self._search.grounds.objection(stale.entry, again, {})
        return None if changed else stale

    async def outcome_in_place_of(self, call: Call, error: BaseException) -> Outcome | None:
        """Return the result of `in_place_of` as the outcome of a flight."""
        found = await self.in_place_of(call, error)
        if found is None or found.entry is None:
            return None
        shared = self._admission.share(found.value, call.settings)
        return Outcome(found, found.value, shared, found.entry.duration_ms, Used.of(found.entry), False)


async def _called(call: Call) -> Any:
    """Call the function in the background. A function of plain code blocks, so it runs in a thread."""
    assert call.function is not None
    if call.plain:
        return await asyncio.to_thread(call.function)
    return await maybe_await(call.function())
