"""Steps, and the two ways to carry them out: on an event loop, and in a plain thread.

The logic shared by async and plain code is written once, as a generator that yields steps. Each kind of
step can run on a loop (`awaited`) and in a plain thread (`blocking`); `drive` and `drive_blocking`
run a generator one way or the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Coroutine, Generator
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from semantic_llm_cache.engine.flights import ABANDONED, Flight, Flights, current_chain
from semantic_llm_cache.engine.outcome import Failure
from semantic_llm_cache.runtime import background
from semantic_llm_cache.runtime.awaiting import driven
from semantic_llm_cache.values.offload import inline

if TYPE_CHECKING:
    from semantic_llm_cache.engine.watch import Watch

__all__ = ["Carry", "Do", "Left", "Ran", "Run", "Step", "Steps", "Wait", "cancel_task", "drive", "drive_blocking"]


class Left(BaseException):
    """The caller has left. Thrown into steps instead of GeneratorExit, after which they could not yield again."""


class Step(Protocol):
    """A piece of work that a generator asks for."""

    async def awaited(self) -> Any:
        """Do the step on the running event loop."""

    def blocking(self) -> Any:
        """Do the step in this thread."""


Steps = Generator[Any, Any, Any]
"""Yields steps, is sent their results, and returns an answer or a `Failure`."""


async def drive(steps: Steps) -> Any:
    """Run steps on the running loop, and return what the generator returns; raise the exception in a `Failure`."""
    go: Any = steps.send
    given: Any = None
    send = go
    try:
        while True:
            try:
                step = go(given)
            except StopIteration as stop:
                given = stop.value
                break
            except Left:
                raise GeneratorExit from None
            try:
                given, go = await step.awaited(), send
            except GeneratorExit:
                given, go = Left(), steps.throw
            except BaseException as error:
                given, go = error, steps.throw
        if type(given) is Failure:
            raise given.error
        return given
    finally:
        del given, go  # an exception's traceback holds this frame, so this frame must not hold the exception
        step = None


def drive_blocking(steps: Steps) -> Any:
    """Do the same as `drive`, in a plain thread."""
    go: Any = steps.send
    given: Any = None
    send = go
    try:
        while True:
            try:
                step = go(given)
            except StopIteration as stop:
                given = stop.value
                break
            try:
                given, go = step.blocking(), send
            except BaseException as error:
                given, go = error, steps.throw
        if type(given) is Failure:
            raise given.error
        return given
    finally:
        del given, go
        step = None


# -------------------------------------------------------------------------------------- steps


class Do:
    """Run a coroutine of ours.

    Args:
        make: starts the coroutine.
        waits: False if it waits for nothing outside this thread; plain code then runs it here, without a loop.
    """

    __slots__ = ("_make", "_waits")

    def __init__(self, make: Callable[[], Coroutine[Any, Any, Any]], waits: bool = True) -> None:
        self._make = make
        self._waits = waits

    async def awaited(self) -> Any:
        """Do the step on the running event loop."""
        return await self._make()

    def blocking(self) -> Any:
        """Do the step in this thread, or on the background loop."""
        if self._waits:
            return background.run(self._make())
        with inline():
            return driven(self._make())


class Ran:
    """The result of a function: its value or the exception it raised, and how long it took."""

    __slots__ = ("duration_ms", "error", "value")

    def __init__(self, value: Any, error: BaseException | None, duration_ms: float) -> None:
        self.value = value
        self.error = error
        self.duration_ms = duration_ms


class Run:
    """Call the user's function. Its exception comes back as a value: see `Failure`.

    Args:
        function: the function, which takes no arguments. May be async on an event loop.
        watch: records the call as a phase.
    """

    __slots__ = ("_function", "_watch")

    def __init__(self, function: Callable[[], Any], watch: Watch | None = None) -> None:
        self._function = function
        self._watch = watch

    async def awaited(self) -> Ran:
        """Call the function, and await its result if that is awaitable."""
        if self._watch is None:
            return await self._awaited()
        with self._watch.calling() as calling:
            return calling.around(await self._awaited())

    async def _awaited(self) -> Ran:
        began = perf_counter()
        try:
            value = self._function()
            if inspect.isawaitable(value):
                value = await value
        except BaseException as error:
            return Ran(None, error, 0.0)
        return Ran(value, None, (perf_counter() - began) * 1000)

    def blocking(self) -> Ran:
        """Call the function."""
        if self._watch is None:
            return self._blocking()
        with self._watch.calling() as calling:
            return calling.around(self._blocking())

    def _blocking(self) -> Ran:
        began = perf_counter()
        try:
            value = self._function()
        except BaseException as error:
            return Ran(None, error, 0.0)
        return Ran(value, None, (perf_counter() - began) * 1000)


class Wait:
    """Wait for a joined flight. True when it has ended, False if waiting would block its own loop.

    Args:
        flights: the flights that it belongs to.
        flight: the flight to wait for.
        leading: the caller's own flight, which takes the answer of `flight`.
    """

    __slots__ = ("_flight", "_flights", "_leading")

    def __init__(self, flights: Flights, flight: Flight, leading: Flight | None = None) -> None:
        self._flights = flights
        self._flight = flight
        self._leading = leading

    async def awaited(self) -> bool:
        """Wait on the running event loop."""
        await self._flights.wait(self._flight, self._leading)
        return True

    def blocking(self) -> bool:
        """Wait in this thread."""
        return self._flights.wait_blocking(self._flight, self._leading)


def cancel_task(task: asyncio.Task[Any], loop: asyncio.AbstractEventLoop) -> None:
    """Cancel a task of any loop: on its own loop at once, so that it knows before a call that starts after it."""
    if asyncio._get_running_loop() is loop:
        task.cancel()
        return
    with contextlib.suppress(RuntimeError):  # the loop is closed, and so are its tasks
        loop.call_soon_threadsafe(task.cancel)


class Carry:
    """Run the steps that end a flight, for everyone who waits for it.

    On a loop they run in a separate task, so that the first caller may leave and the waiters still get the answer.

    Args:
        steps: call the function, and land the flight.
        flights: the flights that it belongs to.
        flight: the flight whose function is called.
        release: releases what the call holds; called when the steps have ended, and already when all who waited have
            left. May be called twice.
    """

    __slots__ = ("_flight", "_flights", "_release", "_steps")

    def __init__(self, steps: Steps, flights: Flights, flight: Flight, release: Callable[[], None]) -> None:
        self._steps = steps
        self._flights = flights
        self._flight = flight
        self._release = release

    async def awaited(self) -> None:
        """Run them in a task, and wait for the flight."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._alone())
        flights, flight, release = self._flights, self._flight, self._release

        def cancel() -> None:
            release()
            cancel_task(task, loop)

        def ended(_: object) -> None:
            # A task that is cancelled before its first step does not land its flight itself.
            flights.land(flight, ABANDONED)
            release()

        flight.cancel = cancel
        task.add_done_callback(ended)
        try:
            await flights.wait(flight)
        except BaseException:
            flight.led = False
            raise

    async def _alone(self) -> None:
        current_chain.set((*current_chain.get(), self._flight))
        steps = self._steps
        del self  # an exception of the function holds this frame, and the flight holds the exception
        await drive(steps)

    def blocking(self) -> None:
        """Run them in this thread."""
        token = current_chain.set((*current_chain.get(), self._flight))
        try:
            drive_blocking(self._steps)
        finally:
            current_chain.reset(token)
            self._flights.land(self._flight, ABANDONED)
            self._release()
            del self, token  # as in `_alone`
