"""Tools for the tests of backends."""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ClassVar

from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.storage.contract import StorageBackend

__all__ = ["Clock", "Suite", "X", "at_cosine", "direction", "raises", "with_backend"]


class Clock:
    """A clock that stands still until it is set.

    Example:
        >>> clock = Clock(1000.0)
        >>> clock.now += 60
        >>> clock()
        1060.0
    """

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


def with_backend(test: Callable[[Any, Any], Coroutine[Any, Any, None]]) -> Callable[[Any], None]:
    """Turn a coroutine test into a plain one that runs in its own loop with an open backend."""

    @functools.wraps(test)
    def run(self: Suite) -> None:
        async def main() -> None:
            backend = self.make()
            try:
                await test(self, backend)
            finally:
                await backend.close()

        asyncio.run(main())

    del run.__dict__["__wrapped__"]  # else pytest looks for a fixture named `backend`
    return run


def direction(*values: float) -> list[float]:
    """Return a vector of eight numbers: the given ones, then zeros."""
    return [*values, *[0.0] * (8 - len(values))]


def at_cosine(cosine: float) -> list[float]:
    """Return a vector with this cosine to `direction(1.0)`."""
    return direction(cosine, math.sqrt(1.0 - cosine * cosine))


X = direction(1.0)


class Suite:
    """The base of the tests: how to create a backend, and what it supports."""

    keeps_counters: ClassVar[bool] = True
    keeps_hits: ClassVar[bool] = True
    reads_quietly: ClassVar[bool] = True

    clock: Clock

    def make_backend(self, clock: Clock) -> StorageBackend:
        """Return a new, empty backend that reads the time from `clock`."""
        raise NotImplementedError

    def make(self) -> StorageBackend:
        """Return a new backend with a new clock."""
        self.clock = Clock()
        return self.make_backend(self.clock)

    def entry(self, prompt: str = "What is Python?", response: Any = "A language.", **fields: Any) -> CacheEntry:
        """Return an entry that was made just now."""
        fields.setdefault("created_at", self.clock.now)
        return CacheEntry(prompt, response, **fields)


async def raises(kind: type[Exception], awaitable: Awaitable[object]) -> None:
    """Await and expect an error of `kind`."""
    try:
        await awaitable
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was not raised")
