"""Sharing an event loop: `Pace` for one long job, `turn` for many short ones at once.

asyncio runs everything that is ready before it looks at sockets and timers again. A long job holds up
everything else; so do two hundred calls that each search for half a millisecond, if all are ready at once. With
`Pace` the long work lets others run every millisecond. With `turn` the many calls continue one after the other, a few
in each round of the loop.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from time import perf_counter

__all__ = ["Pace", "turn"]

_STEP = 0.001  # seconds of work after which `Pace` lets others run
_SECONDS = 0.002  # of work in one round of the loop, after which `turn` waits for the next round


class Pace:
    """Says when a long job on an event loop should let others run: after each millisecond of work.

    Example:
        >>> async def work(items):
        ...     pace = Pace()
        ...     for item in items:
        ...         handle(item)
        ...         if pace.over():
        ...             await pace.rest()
    """

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until = perf_counter() + _STEP

    def over(self) -> bool:
        """Return whether it is time to let others run."""
        return perf_counter() > self._until

    async def rest(self) -> None:
        """Let others run."""
        await asyncio.sleep(0)
        self._until = perf_counter() + _STEP


class _Turns:
    """The waiting calls of one loop. Only used in its thread."""

    __slots__ = ("_loop", "_since", "_ticking", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # A weak reference, so that the loop can be freed; a scheduled callback holds this object only until it runs.
        self._loop = weakref.ref(loop)
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._ticking = False
        self._since = 0.0

    def is_free(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Return whether this round of the loop has time left; starts timing the round if needed."""
        if not self._ticking:
            self._ticking = True
            self._since = perf_counter()
            loop.call_soon(self._next_round)
            return True
        return not self._waiting and perf_counter() - self._since < _SECONDS

    async def wait(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait for a round with time left, first come first served."""
        future = loop.create_future()
        self._waiting.append(future)
        await future

    def _next_round(self) -> None:
        loop = self._loop()
        if loop is None:
            return
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():  # not cancelled meanwhile
                future.set_result(None)
                loop.call_soon(self._next_round)
                return
        self._ticking = False


_by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns] = weakref.WeakKeyDictionary()


async def turn() -> None:
    """Return at once if the running loop has done little such work in this round, else wait for a later round."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # a plain call in its own thread: nothing else waits there
        return
    turns = _by_loop.get(loop)
    if turns is None:
        turns = _by_loop[loop] = _Turns(loop)
    if not turns.is_free(loop):
        await turns.wait(loop)
