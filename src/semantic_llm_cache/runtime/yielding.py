"""Sharing an event loop: `Pace` for one long job, `turn` for many short ones at once.

asyncio runs everything that is ready before it looks at sockets and timers again. A long job holds up
everything else; so do two hundred calls that each search for half a millisecond, if all are ready at once. With
`Pace` the long work lets others run every millisecond. With `turn` the many calls continue one after the other, a few
in each round of the loop. Calls that wait for something in between are present from `Crowd.of_loop` to `Crowd.leave`;
while they are few, `turn_in_crowd` saves them the turns.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from time import perf_counter

__all__ = ["Crowd", "Pace", "turn", "turn_in_crowd"]

_STEP = 0.001  # seconds of work after which `Pace` lets others run
_SECONDS = 0.001  # of work in one round of the loop, after which `turn` waits for the next round
_FEW = 2  # calls on one loop that need not take turns
_MOST_AT_ONCE = 32


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


class Crowd:
    """The calls of one loop, and those of them that wait for their turn. Only used in its thread."""

    __slots__ = ("_at_once", "_loop", "_since", "_ticking", "_waiting", "present")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # A weak reference, so that the loop can be freed; a scheduled callback holds this object only until it runs.
        self._loop = weakref.ref(loop)
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._ticking = False
        self._since = 0.0
        self._at_once = 1
        self.present = 0
        """How many calls have come and not left."""

    @staticmethod
    def of_loop() -> Crowd | None:
        """Join the crowd of the running loop, and return it; None without a loop. Call `leave` afterwards."""
        loop = asyncio._get_running_loop()
        if loop is None:  # a plain call in its own thread
            return None
        crowd = _crowd(loop)
        crowd.present += 1
        return crowd

    def leave(self) -> None:
        """Leave the crowd."""
        self.present -= 1

    def is_free(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Return whether this round of the loop has time left; starts timing the round if needed."""
        if not self._ticking:
            self._ticking = True
            self._since = perf_counter()
            self._at_once = 1
            loop.call_soon(self._next_round)
            return True
        return not self._waiting and perf_counter() - self._since < _SECONDS

    async def wait(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait for a round with time left, first come first served."""
        future = loop.create_future()
        self._waiting.append(future)
        await future

    def _next_round(self) -> None:
        """Let some calls continue: as many as take up the time of a round, going by the round before."""
        loop = self._loop()
        if loop is None:
            return
        now = perf_counter()
        took, self._since = now - self._since, now
        if took < _SECONDS / 2:
            self._at_once = min(2 * self._at_once, _MOST_AT_ONCE)
        elif took > _SECONDS:
            self._at_once = max(1, self._at_once // 2)
        left = self._at_once
        while self._waiting and left:
            future = self._waiting.popleft()
            if not future.done():  # not cancelled meanwhile
                future.set_result(None)
                left -= 1
        if left == self._at_once:  # nobody has waited
            self._ticking = False
        else:
            loop.call_soon(self._next_round)


_by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Crowd] = weakref.WeakKeyDictionary()


def _crowd(loop: asyncio.AbstractEventLoop) -> Crowd:
    crowd = _by_loop.get(loop)
    if crowd is None:
        crowd = _by_loop[loop] = Crowd(loop)
    return crowd


async def turn() -> None:
    """Return at once if the running loop has done little such work in this round, else wait for a later round."""
    loop = asyncio._get_running_loop()
    if loop is None:  # a plain call in its own thread: nothing else waits there
        return
    crowd = _crowd(loop)
    if not crowd.is_free(loop):
        await crowd.wait(loop)


async def turn_in_crowd() -> None:
    """Do `turn` if more than two calls are present on the running loop."""
    loop = asyncio._get_running_loop()
    if loop is None:
        return
    crowd = _by_loop.get(loop)
    if crowd is not None and crowd.present > _FEW and not crowd.is_free(loop):
        await crowd.wait(loop)
