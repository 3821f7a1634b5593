"""One run per key: calls that ask for what is being fetched wait for that answer.

A `Flight` belongs to the caller who came first, its leader; the others wait. Waiters may be tasks of
any event loop and plain threads, so nothing here is tied to a loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from semantic_llm_cache.exceptions import CacheReentryError

__all__ = ["Flight", "Flights", "current_chain"]

current_chain: ContextVar[tuple[Flight, ...]] = ContextVar("semantic_llm_cache_chain", default=())
"""The flights whose function is running in this context, outermost first."""

PENDING, DONE, FAILED, ABANDONED = range(4)


class Flight:
    """The fetching of one answer.

    Attributes:
        state: PENDING, then DONE (`result` holds the leader's outcome), FAILED (`error`) or ABANDONED: the leader
            went away without an outcome and one of those who waited leads anew.
        vector: of the prompt, set when the function is being called: others may then join by meaning.
    """

    __slots__ = (
        "_callbacks", "cancel", "embedder", "error", "key", "result", "scope", "state", "text", "vector",
        "waiters", "waits_for",
    )  # fmt: skip

    def __init__(self, key: str, scope: str, text: str) -> None:
        self.key = key
        self.scope = scope
        self.text = text
        self.state = PENDING
        self.result: Any = None
        self.error: BaseException | None = None
        self.vector: Any = None
        self.embedder = ""
        self.waiters = 1
        self.waits_for: set[Flight] = set()
        self.cancel: Callable[[], None] | None = None
        self._callbacks: list[Callable[[], None]] = []


class Flights:
    """The flights under way on one backend in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_key: dict[str, Flight] = {}
        self._calling: dict[str, dict[Flight, None]] = {}
        self.landed = 0
        """How many flights have ended. A read that began before another's end may have missed its answer."""

    def join(self, key: str, scope: str, text: str) -> tuple[Flight, bool]:
        """Return the flight for `key` and whether the caller is its leader."""
        with self._lock:
            flight = self._by_key.get(key)
            if flight is not None:
                flight.waiters += 1
                return flight, False
            flight = self._by_key[key] = Flight(key, scope, text)
            return flight, True

    def under_way(self, key: str) -> bool:
        """Tell whether a flight for `key` is under way."""
        return key in self._by_key

    def calling(
        self, flight: Flight, embedder: str, vector: Any, alike: Callable[[Flight], bool]
    ) -> Flight | None:
        """Say that `flight` is about to call its function; return one that already asks the same, if any.

        Looking and saying are one step, so that of two calls with one meaning only one goes on.
        """
        chain = current_chain.get()
        while True:
            with self._lock:
                others = [
                    other
                    for other in self._calling.get(flight.scope, ())
                    if other.embedder == embedder and other not in chain
                ]
                if not others:
                    flight.vector, flight.embedder = vector, embedder
                    self._calling.setdefault(flight.scope, {})[flight] = None
                    return None
            # Comparing may run guards, so it happens outside the lock, on a snapshot.
            for other in others:
                if alike(other):
                    with self._lock:
                        if other.state == PENDING:
                            other.waiters += 1
                            return other
            with self._lock:
                now = [
                    o
                    for o in self._calling.get(flight.scope, ())
                    if o.embedder == embedder and o not in chain
                ]
                if all(other in others for other in now):
                    flight.vector, flight.embedder = vector, embedder
                    self._calling.setdefault(flight.scope, {})[flight] = None
                    return None

    def land(
        self, flight: Flight, state: int, result: Any = None, error: BaseException | None = None
    ) -> None:
        """End a flight and wake all who wait for it."""
        with self._lock:
            if flight.state != PENDING:
                return
            flight.result, flight.error, flight.state = result, error, state
            self.landed += 1
            if self._by_key.get(flight.key) is flight:
                del self._by_key[flight.key]
            scope = self._calling.get(flight.scope)
            if scope is not None:
                scope.pop(flight, None)
                if not scope:
                    del self._calling[flight.scope]
            callbacks, flight._callbacks = flight._callbacks, []
        for callback in callbacks:
            callback()

    def leave(self, flight: Flight) -> None:
        """Say that one who waited has gone. When all have, the call is cancelled."""
        with self._lock:
            flight.waiters -= 1
            cancel = flight.cancel if flight.waiters <= 0 and flight.state == PENDING else None
        if cancel is not None:
            cancel()

    def _when_landed(self, flight: Flight, callback: Callable[[], None]) -> bool:
        with self._lock:
            if flight.state != PENDING:
                return False
            flight._callbacks.append(callback)
            return True

    def _forget(self, flight: Flight, callback: Callable[[], None]) -> None:
        with self._lock:
            if callback in flight._callbacks:
                flight._callbacks.remove(callback)

    async def wait(self, flight: Flight) -> None:
        """Wait until `flight` has ended. Cancelling the waiter disturbs nobody else."""
        waiting = self._announce(flight)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def finish() -> None:
            if not future.done():
                future.set_result(None)

        def wake() -> None:
            if asyncio._get_running_loop() is loop:
                finish()
            else:
                try:
                    loop.call_soon_threadsafe(finish)
                except RuntimeError:  # that loop is closed, and with it its tasks
                    pass

        try:
            if self._when_landed(flight, wake):
                await future
        except BaseException:
            self._forget(flight, wake)
            self.leave(flight)
            raise
        finally:
            self._unannounce(flight, waiting)

    def wait_blocking(self, flight: Flight) -> None:
        """`wait` for a plain thread."""
        waiting = self._announce(flight)
        event = threading.Event()
        try:
            if self._when_landed(flight, event.set):
                event.wait()
        except BaseException:  # KeyboardInterrupt
            self._forget(flight, event.set)
            self.leave(flight)
            raise
        finally:
            self._unannounce(flight, waiting)

    def _announce(self, flight: Flight) -> tuple[Flight, ...]:
        """Note that the running functions of this context wait for `flight`; refuse to close a circle."""
        chain = current_chain.get()
        if not chain:
            return chain
        with self._lock:
            if flight in chain or any(other in chain for other in _reachable(flight)):
                flight.waiters -= 1
                raise CacheReentryError(
                    "a cached call asks, from within itself, for the answer it is computing, and would wait for "
                    "ever: call the undecorated function (__wrapped__) inside, or give the inner call another "
                    "prompt or scope"
                )
            for outer in chain:
                outer.waits_for.add(flight)
        return chain

    def _unannounce(self, flight: Flight, chain: tuple[Flight, ...]) -> None:
        if chain:
            with self._lock:
                for outer in chain:
                    outer.waits_for.discard(flight)


def _reachable(flight: Flight) -> Iterator[Flight]:
    seen: set[Flight] = set()
    stack = [flight]
    while stack:
        for other in stack.pop().waits_for:
            if other not in seen:
                seen.add(other)
                stack.append(other)
                yield other
