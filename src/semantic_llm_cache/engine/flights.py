"""One run per key: calls for an answer that is already being fetched wait for it.

A `Flight` belongs to the first caller, its leader; the others wait. Waiters may be tasks of
any event loop and plain threads, so nothing here is tied to a loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Iterator
from contextvars import ContextVar
from typing import Any

from semantic_llm_cache.exceptions import CacheReentryError

__all__ = ["Flight", "Flights", "current_chain"]

current_chain: ContextVar[tuple[Flight, ...]] = ContextVar("semantic_llm_cache.chain", default=())
"""The flights whose function is running in this context, outermost first."""

PENDING, DONE, FAILED, ABANDONED = range(4)

_LOOK_AGAIN = 0.5
"""Seconds between two checks whether another thread's event loop still runs its flight."""


class Flight:
    """The fetching of one answer.

    Attributes:
        state: PENDING, then DONE (`result` holds the leader's outcome), FAILED (`error` is what the function
            raised) or ABANDONED: the leader left without an outcome, or had a problem of its own
            (`error`), and one of the waiters leads next.
        loop: the event loop that runs it; None for a plain thread.
        led: False once the first caller has left; others may still wait.
        gone: True once all who waited have left. The call is being cancelled, and nobody may join it any more.
        labels: those that its answer will be stored with.
        closed: True once nobody may join it any more, since what its answer rests on has changed.
        spare: a one-element tuple with a copy of an answer that cannot be stored; None if there is none.
        vector: the prompt's vector, set when the function is called; others may then join by meaning.
    """

    __slots__ = (
        "_callbacks", "cancel", "closed", "embedder", "error", "gone", "key", "labels", "led", "loop", "result",
        "scope", "spare", "state", "text", "vector", "waiters", "waits_for",
    )  # fmt: skip

    def __init__(self, key: str, scope: str, text: str, loop: asyncio.AbstractEventLoop | None) -> None:
        self.key = key
        self.scope = scope
        self.text = text
        self.loop = loop
        self.state = PENDING
        self.result: Any = None
        self.error: BaseException | None = None
        self.vector: Any = None
        self.embedder = ""
        self.waiters = 1
        self.led = True
        self.gone = False
        self.labels: Collection[str] = ()
        self.closed = False
        self.spare: tuple[Any] | None = None
        self.waits_for: dict[Flight, int] = {}
        self.cancel: Callable[[], None] | None = None
        self._callbacks: list[Callable[[], None]] = []


class Flights:
    """The flights under way on one backend in this process."""

    def __init__(self) -> None:
        # Reentrant: the garbage collector may close an abandoned task, which lands its flight here.
        self._lock = threading.RLock()
        self._by_key: dict[str, Flight] = {}
        self._calling: dict[str, dict[Flight, None]] = {}
        self._refreshing: set[str] = set()
        self.landed = 0
        """How many flights have ended. A read that began before a flight ended may have missed its answer."""

    def join(
        self,
        key: str,
        scope: str,
        text: str,
        loop: asyncio.AbstractEventLoop | None = None,
        labels: Collection[str] = (),
    ) -> tuple[Flight, bool]:
        """Return the flight for `key` and whether the caller, who runs on `loop`, is its leader.

        `labels` are those that the caller's own answer would be stored with.
        """
        while True:
            with self._lock:
                flight = self._by_key.get(key)
                if flight is None:
                    flight = self._by_key[key] = Flight(key, scope, text, loop)
                    flight.labels = labels
                    return flight, True
                if flight.loop is None or not flight.loop.is_closed():
                    flight.waiters += 1
                    return flight, False
            self.land(flight, ABANDONED)

    def under_way(self, key: str) -> bool:
        """Return whether a flight for `key` is under way."""
        return key in self._by_key

    def begin_refresh(self, key: str) -> bool:
        """Mark a stale answer as being refreshed; return False if it already is."""
        with self._lock:
            if key in self._refreshing:
                return False
            self._refreshing.add(key)
            return True

    def refreshing(self, key: str) -> bool:
        """Return whether a stale answer is being refreshed."""
        return key in self._refreshing

    def end_refresh(self, key: str) -> None:
        """Mark a refresh as ended, whether or not it succeeded."""
        with self._lock:
            self._refreshing.discard(key)

    def calling(self, flight: Flight, embedder: str, vector: Any, alike: Callable[[Flight], bool]) -> Flight | None:
        """Announce that `flight` is about to call its function; return a flight that already asks the same, if any.

        Both happen in one step, so that only one of two calls with the same meaning continues.
        """
        chain = current_chain.get()
        while True:
            with self._lock:
                others = [
                    other
                    for other in list(self._calling.get(flight.scope, ()))
                    if other.embedder == embedder and other not in chain
                ]
                if not others:
                    self._offer(flight, embedder, vector)
                    return None
            # Comparing may run guards, so it happens outside the lock, on a snapshot.
            for other in others:
                if alike(other):
                    with self._lock:
                        if other.state == PENDING and not (other.gone or other.closed):
                            other.waiters += 1
                            return other
            with self._lock:
                now = [
                    o for o in list(self._calling.get(flight.scope, ())) if o.embedder == embedder and o not in chain
                ]
                if all(other in others for other in now):
                    self._offer(flight, embedder, vector)
                    return None

    def _offer(self, flight: Flight, embedder: str, vector: Any) -> None:
        flight.vector, flight.embedder = vector, embedder
        if not flight.closed:
            self._calling.setdefault(flight.scope, {})[flight] = None

    def withdraw(self, labels: frozenset[str]) -> None:
        """Let nobody join a flight whose answer gets any of these labels. Those who wait for it already get it."""
        with self._lock:
            for flight in [each for each in self._by_key.values() if not labels.isdisjoint(each.labels)]:
                flight.closed = True
                self._withdraw(flight)

    def land(self, flight: Flight, state: int, result: Any = None, error: BaseException | None = None) -> None:
        """End a flight and wake all its waiters."""
        with self._lock:
            if flight.state != PENDING:
                return
            flight.result, flight.error, flight.state = result, error, state
            flight.cancel = None  # it holds the task, and the task's context holds the flight
            self.landed += 1
            self._withdraw(flight)
            callbacks, flight._callbacks = flight._callbacks, []
        for callback in callbacks:
            callback()

    def _withdraw(self, flight: Flight) -> None:
        """Let nobody join a flight any more."""
        if self._by_key.get(flight.key) is flight:
            del self._by_key[flight.key]
        scope = self._calling.get(flight.scope)
        if scope is not None:
            scope.pop(flight, None)
            if not scope:
                del self._calling[flight.scope]

    def leave(self, flight: Flight) -> None:
        """Record that a waiter has left. When all have, the call is cancelled.

        In the same step it stops being joinable: its clean-up may take long, and a caller who comes meanwhile makes
        a call of their own.
        """
        with self._lock:
            flight.waiters -= 1
            cancel = flight.cancel if flight.waiters <= 0 and flight.state == PENDING else None
            if cancel is not None:
                flight.gone = True
                self._withdraw(flight)
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

    async def wait(self, flight: Flight, leading: Flight | None = None) -> None:
        """Wait until `flight` has ended. Cancelling the waiter does not affect the others.

        Args:
            flight: the flight that was joined.
            leading: the caller's own flight, which takes the answer of `flight`.

        Raises:
            CacheReentryError: `flight` waits, directly or not, for the caller.
        """
        waiting = self._announce(flight, leading)
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
                except RuntimeError:  # that loop is closed, and so are its tasks
                    pass

        try:
            if self._when_landed(flight, wake):
                if flight.loop is None or flight.loop is loop:
                    await future
                stopped = False
                while not future.done():
                    stopped = self._look_after(flight, stopped)
                    await asyncio.wait((future,), timeout=_LOOK_AGAIN)
        except BaseException:
            self._forget(flight, wake)
            self.leave(flight)
            raise
        finally:
            self._unannounce(flight, waiting)

    def wait_blocking(self, flight: Flight, leading: Flight | None = None) -> bool:
        """Do a `wait` in a plain thread; return False at once if it would wait for its own event loop."""
        waiting = self._announce(flight, leading)
        event = threading.Event()
        try:
            running = asyncio._get_running_loop()
            if running is not None and self._carried_by(running, flight):
                self.leave(flight)
                return False
            if self._when_landed(flight, event.set):
                stopped = False
                while not event.wait(None if flight.loop is None else _LOOK_AGAIN):
                    stopped = self._look_after(flight, stopped)
            return True
        except BaseException:  # KeyboardInterrupt
            self._forget(flight, event.set)
            self.leave(flight)
            raise
        finally:
            self._unannounce(flight, waiting)

    def _look_after(self, flight: Flight, stopped: bool) -> bool:
        """End a flight whose event loop is closed, or was not running at two checks in a row."""
        loop = flight.loop
        if loop is None or loop.is_running():
            return False
        if stopped or loop.is_closed():
            self.land(flight, ABANDONED)
        return True

    def _carried_by(self, loop: asyncio.AbstractEventLoop, flight: Flight) -> bool:
        with self._lock:
            return flight.loop is loop or any(other.loop is loop for other in _reachable(flight))

    def _announce(self, flight: Flight, leading: Flight | None) -> tuple[Flight, ...]:
        """Record that the running functions of this context wait for `flight`; refuse a circular wait."""
        chain = current_chain.get()
        if leading is not None:
            chain = (*chain, leading)
        if not chain:
            return chain
        with self._lock:
            if flight in chain or any(other in chain for other in _reachable(flight)):
                flight.waiters -= 1
                raise CacheReentryError(
                    "a cached function asked its own question while it was computing the answer, and would wait for "
                    "itself for ever: call the undecorated function (__wrapped__) inside, or give the inner call "
                    "another prompt or scope"
                )
            for outer in chain:
                outer.waits_for[flight] = outer.waits_for.get(flight, 0) + 1
        return chain

    def _unannounce(self, flight: Flight, chain: tuple[Flight, ...]) -> None:
        if chain:
            with self._lock:
                for outer in chain:
                    left = outer.waits_for.pop(flight) - 1
                    if left:
                        outer.waits_for[flight] = left


def _reachable(flight: Flight) -> Iterator[Flight]:
    seen: set[Flight] = set()
    stack = [flight]
    while stack:
        for other in stack.pop().waits_for:
            if other not in seen:
                seen.add(other)
                stack.append(other)
                yield other
