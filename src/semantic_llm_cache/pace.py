"""Long work in short steps."""

from __future__ import annotations

import asyncio
from time import perf_counter

__all__ = ["Pace"]

_STEP = 0.001


class Pace:
    """Tells long work on an event loop when to let others run: a millisecond after it last did.

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
        """Tell whether the time is over."""
        return perf_counter() > self._until

    async def rest(self) -> None:
        """Let others run."""
        await asyncio.sleep(0)
        self._until = perf_counter() + _STEP
