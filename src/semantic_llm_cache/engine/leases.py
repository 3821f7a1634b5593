"""One call among all processes: who runs the function holds a lease on the key, and the others wait for it.

The storage gives the leases (`StorageBackend.acquire_lease` and its neighbours). Whatever goes wrong with them
costs the saving only: the function is then called without one.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from semantic_llm_cache.calls.settings import CallSettings
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.engine.flights import PENDING, Flight, current_chain
from semantic_llm_cache.engine.reporting import Reporting
from semantic_llm_cache.engine.search import Found, Outage, limited
from semantic_llm_cache.engine.state import BackendState
from semantic_llm_cache.exceptions import CacheBackendError
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.runtime import background
from semantic_llm_cache.runtime.breaker import logger
from semantic_llm_cache.storage.contract import Held, Lease, StorageBackend

__all__ = ["Holding", "Leasing"]

_MOST_HOLDERS = 3
"""So many others may have had the lease and stored nothing; then the function is called without one."""
_SHORTEST_WAIT, _LONGEST_WAIT = 0.01, 0.25
_PATIENCE = 5.0


class Holding:
    """A lease that this process holds, renewed in the background for as long as the call is alive.

    Args:
        backend: what gave it.
        lease: as it was given.
        alive: tells whether the call is still under way. None: it is, but waits for its own caller to go on; the
            lease is then left to run out, and taken up again if nobody else has taken it by then.
    """

    __slots__ = ("_alive", "_pid", "backend", "lease", "over")

    def __init__(self, backend: StorageBackend, lease: Lease, alive: Callable[[], bool | None]) -> None:
        self.backend = backend
        self.lease = lease
        self.over = False
        self._alive = alive
        self._pid = os.getpid()
        self._renew_later()

    def _renew_later(self) -> None:
        # On the background loop: a call that blocks its own event loop is alive all the same.
        try:
            background.call_later(self.backend.lease_seconds / 3, self._renew)
        except RuntimeError as error:  # the interpreter is ending and starts no more threads
            logger.debug("semantic-llm-cache: a lease will not be renewed: %s", describe(error))

    async def _renew(self) -> None:
        if self.over:
            return
        alive = self._alive()
        if alive is None:
            self._renew_later()
            return
        if not alive:
            self.release()
            return
        seconds = self.backend.lease_seconds
        try:
            kept = await limited(self.backend.renew_lease(self.lease, seconds), seconds / 3)
        except Exception as error:  # the next one may get through; if not, another process leads
            logger.debug("semantic-llm-cache: a lease was not renewed: %s", describe(error))
            kept = True
        if kept:
            self._renew_later()

    async def store(self, engine: Leasing, state: BackendState, entry: CacheEntry) -> bool:
        """Store the answer, if the lease is still ours, and give it back. Raises Outage."""
        backend = self.backend
        stored = await engine._operation(state, lambda: backend.set_leased(self.lease, entry), backend, "write")
        self.over = True
        if not stored:
            logger.info("semantic-llm-cache: an answer came after its lease had run out, and was not stored")
        return bool(stored)

    def release(self) -> None:
        """Give the lease back, after the caller has gone on. Does nothing when that was done."""
        if self.over or self._pid != os.getpid():
            return
        self.over = True
        give_back(self.backend, self.lease)


def give_back(backend: StorageBackend, lease: Lease) -> None:
    """Give a lease back in the background; one that cannot be runs out."""

    async def release() -> None:
        try:
            await limited(backend.release_lease(lease), _PATIENCE)
        except Exception as error:
            logger.debug("semantic-llm-cache: a lease was not given back: %s", describe(error))

    try:
        background.spawn(release())
    except RuntimeError as error:
        logger.debug("semantic-llm-cache: a lease was not given back: %s", describe(error))


class Leasing(Reporting):
    """The part of an engine that agrees with other processes who calls."""

    def _leases(self, settings: CallSettings, found: Found) -> bool:
        """Tell whether a call that found `found` is to ask for a lease."""
        if self.single_flight != "shared":
            return False
        backend = self.backend
        if backend.in_process:
            return False  # there is only this process
        if not backend.gives_leases:
            self._warn(
                f"single_flight='shared' has no effect: {backend.url} gives no leases, so calls are shared within "
                "this process only, as with 'process'",
                "single_flight",
            )
            return False
        control = settings.control
        if control is not None and (control.no_cache or control.no_store):
            return False  # wants an answer of its own, or leaves none to the others
        return not found.unread

    async def claim(
        self,
        state: BackendState,
        request: Request,
        found: Found,
        alive: Callable[[], bool | None],
        look: Callable[[], Awaitable[Found | None]],
    ) -> Found | None:
        """Wait until this process is to call, or another one has answered: then return what it stored.

        None: call. `found.lease` is then the lease to call under, or None where none could be had.

        Args:
            state: of the backend in use.
            request: what is asked.
            found: what the search before came to.
            alive: as of `Holding`.
            look: returns the answer that another process has stored, if there is one of use.

        Raises:
            CacheBackendError: only with ``on_error="raise"``.
        """
        backend = self.backend
        # A call within a cached call may wait for somebody who waits for the outer one: not for ever.
        until = time.monotonic() + backend.lease_seconds if current_chain.get() else None
        holders: list[str] = []
        pause = _SHORTEST_WAIT
        while True:
            try:
                lease = await self._acquire(state, backend, request)
            except Outage:
                return None
            if isinstance(lease, Lease):
                holding = Holding(backend, lease, alive)
                answer = None
                try:
                    if lease.answered:
                        answer = await look()
                except BaseException:
                    holding.release()
                    raise
                if answer is None:
                    found.lease = holding
                else:
                    holding.release()
                return answer
            if lease.token not in holders:
                holders.append(lease.token)
                if len(holders) > _MOST_HOLDERS:
                    return None
            left = lease.seconds if until is None else min(lease.seconds, until - time.monotonic())
            if left <= 0 and until is not None:
                return None
            began = time.monotonic()
            if not await self._wait(state, backend, request.key, max(left, 0.0)):
                return None
            answer = await look()
            if answer is not None:
                return answer
            if time.monotonic() - began < pause:  # woken for nothing
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_WAIT)

    async def claim_flight(
        self, state: BackendState, flight: Flight, request: Request, settings: CallSettings, found: Found
    ) -> Found | None:
        """`claim` for a call that others in this process may have joined."""

        def alive() -> bool:
            return flight.state == PENDING and (flight.loop is None or flight.loop.is_running())

        return await self.claim(state, request, found, alive, lambda: self.answered(request, settings))

    async def claim_refresh(self, state: BackendState, request: Request, settings: CallSettings, found: Found) -> bool:
        """Tell whether this process is the one to refresh a stale answer; nobody waits for that."""
        backend = self.backend
        try:
            lease = await self._acquire(state, backend, request)
        except Outage:
            return True
        if isinstance(lease, Held):
            return False
        holding = Holding(backend, lease, lambda: state.flights.refreshing(request.key))
        try:
            done = await self._is_fresh(request, settings)
        except BaseException:
            holding.release()
            raise
        if done:
            holding.release()
            return False
        found.lease = holding
        return True

    async def _is_fresh(self, request: Request, settings: CallSettings) -> bool:
        """Tell whether a fresh answer lies under this very key now."""
        return (await self.find(request, replace(settings, similarity=1.0), probing=True)).outcome == "exact"

    async def _acquire(self, state: BackendState, backend: StorageBackend, request: Request) -> Lease | Held:
        token, sent = os.urandom(16).hex(), False

        async def acquire() -> Lease | Held:
            nonlocal sent
            sent = True
            found: Any = await backend.acquire_lease(request.key, token, backend.lease_seconds)
            if not isinstance(found, (Lease, Held)):
                raise TypeError(f"acquire_lease() returned a {type(found).__name__}, not a Lease or Held")
            return found

        try:
            return await self._operation(state, acquire, backend, "lease")
        except BaseException:
            if sent:  # it may have arrived
                give_back(backend, Lease(request.key, token))
            raise

    async def _wait(self, state: BackendState, backend: StorageBackend, key: str, seconds: float) -> bool:
        """Wait for whoever has the lease; False when that cannot be done."""
        try:
            await limited(backend.wait_for_lease(key, seconds), seconds + _PATIENCE)
        except Exception as error:
            state.breakers["lease"].failed(error, "Check that it is reachable and healthy.")
            if self.on_error == "raise":
                raise CacheBackendError(f"{backend.url} failed: {describe(error)}") from error
            return False
        return True

    async def answered(self, request: Request, settings: CallSettings) -> Found | None:
        """Return the answer that another process has stored under this very key."""
        found = await self.find(request, replace(settings, similarity=1.0))
        if found.outcome != "exact":
            return None
        found.outcome, found.reason = "coalesced", "another process was making the same call"
        found.similarity = None
        return found
