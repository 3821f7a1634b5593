"""One call among all processes: the one that runs the function holds a lease on the key; the others wait.

The storage grants the leases (`StorageBackend.acquire_lease` and related methods). If anything goes wrong with
them, the function is called without a lease, and only the saving is lost.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.engine.access import Access, Storage
from semantic_llm_cache.engine.call import Call
from semantic_llm_cache.engine.flights import PENDING, Flight, Flights, current_chain
from semantic_llm_cache.engine.notices import Notices
from semantic_llm_cache.engine.options import Options
from semantic_llm_cache.engine.outcome import Found, Outage
from semantic_llm_cache.engine.search import Search
from semantic_llm_cache.exceptions import CacheBackendError
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.runtime import background
from semantic_llm_cache.runtime.awaiting import limited
from semantic_llm_cache.runtime.breaker import logger
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.records import Held, Lease

__all__ = ["Holding", "Leases"]

_MOST_HOLDERS = 3
"""Once this many others have held the lease and stored nothing, the function is called without one."""
_SHORTEST_WAIT, _LONGEST_WAIT = 0.01, 0.25
_PATIENCE = 5.0


class Holding:
    """A lease that this process holds, renewed in the background for as long as the call is alive.

    Args:
        backend: the backend that granted the lease.
        lease: the lease as granted.
        alive: returns whether the call is still running. None: it is, but it waits for its own caller. The lease may
            then run out; it is renewed if no other process has taken it by then.
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
        # On the background loop: a call that blocks its own event loop is still alive.
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

    async def store(self, storage: Storage, entry: CacheEntry) -> bool:
        """Store the answer if the lease is still ours, and release the lease. Raises Outage."""
        stored = await storage.run(lambda: self.backend.set_leased(self.lease, entry), "write")
        self._end()
        if not stored:
            logger.info("semantic-llm-cache: an answer came after its lease had run out, and was not stored")
        return bool(stored)

    def release(self) -> None:
        """Release the lease in the background. Does nothing if that was done already."""
        if self.over or self._pid != os.getpid():
            return
        self._end()
        give_back(self.backend, self.lease)

    def _end(self) -> None:
        self.over = True
        self._alive = _ended  # the old one holds the flight


def _ended() -> bool:
    return False


def give_back(backend: StorageBackend, lease: Lease) -> None:
    """Release a lease in the background; if that fails, it expires."""

    async def release() -> None:
        try:
            await limited(backend.release_lease(lease), _PATIENCE)
        except Exception as error:
            logger.debug("semantic-llm-cache: a lease was not given back: %s", describe(error))

    try:
        background.spawn(release())
    except RuntimeError as error:
        logger.debug("semantic-llm-cache: a lease was not given back: %s", describe(error))


class Leases:
    """Agrees with other processes, for one engine, on who calls.

    Args:
        options: the engine's options.
        access: to the storage, which grants the leases.
        search: finds what another process has stored.
        notices: logs problems.
    """

    def __init__(self, options: Options, access: Access, search: Search, notices: Notices) -> None:
        self._options = options
        self._access = access
        self._search = search
        self._notices = notices

    def needed(self, call: Call) -> bool:
        """Return whether a call must ask for a lease after its search."""
        if self._options.single_flight != "shared":
            return False
        backend = self._access.backend
        if backend.in_process:
            return False  # no other process uses the storage
        if not backend.gives_leases:
            self._notices.warn_once(
                "single_flight",
                f"single_flight='shared' has no effect: {backend.url} gives no leases, so calls are shared within "
                "this process only, as with 'process'",
            )
            return False
        return call.settings.asks.may_share and not call.found.unread

    async def claim(
        self,
        call: Call,
        alive: Callable[[], bool | None],
        look: Callable[[], Awaitable[Found | None]],
    ) -> Found | None:
        """Wait until this process may call, or another one has stored an answer; then return that answer.

        None means: call. `call.found.lease` is then the lease to call under, or None if none is available.

        Args:
            call: the call, with what its search found.
            alive: as for `Holding`.
            look: returns the answer that another process has stored, if it can be used.

        Raises:
            CacheBackendError: only with ``on_error="raise"``.
        """
        storage = self._access.storage()
        # A call within a cached call may wait for a process that waits for the outer one, so it must not wait for ever.
        until = time.monotonic() + storage.backend.lease_seconds if current_chain.get() else None
        holders: set[str] = set()
        pause = _SHORTEST_WAIT
        while True:
            try:
                lease = await self._acquire(storage, call.request.key)
            except Outage:
                return None
            if isinstance(lease, Lease):
                return await self._take(call, Holding(storage.backend, lease, alive), look)
            holders.add(lease.token)
            if len(holders) > _MOST_HOLDERS:
                return None
            left = lease.seconds if until is None else min(lease.seconds, until - time.monotonic())
            if left <= 0 and until is not None:
                return None
            began = time.monotonic()
            if not await self._wait(storage, call.request.key, max(left, 0.0)):
                return None
            answer = await look()
            if answer is not None:
                return answer
            if time.monotonic() - began < pause:  # woken too early
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_WAIT)

    async def _take(self, call: Call, holding: Holding, look: Callable[[], Awaitable[Found | None]]) -> Found | None:
        """Call under this lease, unless an answer was stored just before it was granted."""
        answer = None
        try:
            if holding.lease.answered:
                answer = await look()
        except BaseException:
            holding.release()
            raise
        if answer is None:
            call.found.lease = holding
        else:
            holding.release()
        return answer

    async def claim_flight(self, call: Call, flight: Flight) -> Found | None:
        """Do a `claim` for a call that others in this process may have joined."""

        def alive() -> bool:
            return flight.state == PENDING and not flight.gone and (flight.loop is None or flight.loop.is_running())

        return await self.claim(call, alive, lambda: self._search.answered(call))

    async def claim_refresh(self, call: Call, flights: Flights) -> bool:
        """Return whether this process refreshes a stale answer. It does not wait for the others."""
        storage, key = self._access.storage(), call.request.key
        try:
            lease = await self._acquire(storage, key)
        except Outage:
            return True
        if isinstance(lease, Held):
            return False
        holding = Holding(storage.backend, lease, lambda: flights.refreshing(key))
        try:
            done = await self._search.is_fresh(call)
        except BaseException:
            holding.release()
            raise
        if done:
            holding.release()
            return False
        call.found.lease = holding
        return True

    async def _acquire(self, storage: Storage, key: str) -> Lease | Held:
        backend = storage.backend
        token, sent = os.urandom(16).hex(), False

        async def acquire() -> Lease | Held:
            nonlocal sent
            sent = True
            found: Any = await backend.acquire_lease(key, token, backend.lease_seconds)
            if not isinstance(found, (Lease, Held)):
                raise TypeError(f"acquire_lease() returned a {type(found).__name__}, not a Lease or Held")
            return found

        try:
            return await storage.run(acquire, "lease")
        except BaseException:
            if sent:  # the request may have arrived
                give_back(backend, Lease(key, token))
            raise

    async def _wait(self, storage: Storage, key: str, seconds: float) -> bool:
        """Wait for the process that has the lease; return False if that is not possible."""
        backend = storage.backend
        try:
            await limited(backend.wait_for_lease(key, seconds), seconds + _PATIENCE)
        except Exception as error:
            storage.state.breakers["lease"].failed(error, "Check that it is reachable and healthy.")
            if self._options.on_error == "raise":
                raise CacheBackendError(f"{backend.url} failed: {describe(error)}") from error
            return False
        return True
