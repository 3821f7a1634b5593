"""Steps of the wire: see `engine.driving`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from semantic_llm_cache.calls.settings import CallSettings
from semantic_llm_cache.engine.call import Call as EngineCall
from semantic_llm_cache.engine.driving import Steps, drive, drive_blocking
from semantic_llm_cache.engine.engine import Engine
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.runtime import background
from semantic_llm_cache.streams.driving import streamed, streamed_blocking
from semantic_llm_cache.streams.stream import settled, settled_blocking
from semantic_llm_cache.wire.large import apart

__all__ = ["END", "Apart", "Ask", "Body", "Call", "Close", "Do", "Drain", "Next", "Source"]

END: Any = object()
"""In place of a chunk: there are no more."""

_DRAIN = 0.25
"""Seconds given to a provider to end a stream whose last event is here, so that its connection can be used again."""


class Do(NamedTuple):
    """Run a coroutine of ours; plain code has the background loop run it."""

    make: Callable[[], Coroutine[Any, Any, Any]]

    async def awaited(self) -> Any:
        """Do it on the running event loop."""
        return await self.make()

    def blocking(self) -> Any:
        """Do it on the background loop."""
        return background.run(self.make())


class Call(NamedTuple):
    """Call a function that is of the caller's own kind: async on a loop, plain in a plain thread."""

    function: Callable[[], Any]

    async def awaited(self) -> Any:
        """Call an async function."""
        return await self.function()

    def blocking(self) -> Any:
        """Call a plain function."""
        return self.function()


class Apart(NamedTuple):
    """Do long work with a large body."""

    function: Callable[[], Any]

    async def awaited(self) -> Any:
        """Do it in the thread for large bodies."""
        return await apart(self.function)

    def blocking(self) -> Any:
        """Do it in this thread."""
        return self.function()


class Ask(NamedTuple):
    """Have the engine answer a request, or carry out the steps that call the provider.

    Attributes:
        engine: to ask.
        request: what is asked.
        call: returns those steps.
        settings: of the call.
        settling: wait first until a stream of the same request has ended and is stored, if one is in flight.
    """

    engine: Engine
    request: Request
    call: Callable[[], Steps]
    settings: CallSettings
    settling: bool = False

    async def awaited(self) -> Any:
        """Ask on the running event loop."""
        engine, request, call, settings, settling = self
        if settling:
            await settled(engine, EngineCall(engine.redacted(request), settings))
        return await engine.get_or_call(request, lambda: drive(call()), settings=settings)

    def blocking(self) -> Any:
        """Ask in this thread."""
        engine, request, call, settings, settling = self
        if settling:
            settled_blocking(engine, EngineCall(engine.redacted(request), settings, plain=True))
        return engine.get_or_call_blocking(request, lambda: drive_blocking(call()), settings)


class Source:
    """Chunks, opened when the first one is asked for.

    Args:
        open: returns an async iterable on a loop, a plain one in a plain thread.
        plain: opens the plain one, where that takes another function.
    """

    __slots__ = ("chunks", "open", "plain")

    def __init__(self, open: Callable[[], Any], plain: Callable[[], Any] | None = None) -> None:
        self.open = open
        self.plain = plain or open
        self.chunks: Any = None

    async def aclose(self) -> None:
        """Close an async generator, if it was opened."""
        if self.chunks is not None:
            await self.chunks.aclose()

    def close(self) -> None:
        """Close a plain generator, if it was opened."""
        if self.chunks is not None:
            self.chunks.close()


class Next(NamedTuple):
    """Return the next chunk of a source; `END` after the last."""

    source: Source

    async def awaited(self) -> Any:
        """Of an async source."""
        source = self.source
        if source.chunks is None:
            source.chunks = aiter(source.open())
        try:
            return await anext(source.chunks)
        except StopAsyncIteration:
            return END

    def blocking(self) -> Any:
        """Of a plain source."""
        source = self.source
        if source.chunks is None:
            source.chunks = iter(source.plain())
        return next(source.chunks, END)


class Drain(NamedTuple):
    """Read what is left of a source, for a short time. A plain read cannot be given a limit, so plain code does not."""

    source: Source

    async def awaited(self) -> None:
        """Read on the running event loop."""
        await asyncio.wait_for(self._read(), _DRAIN)

    async def _read(self) -> None:
        async for _ in self.source.chunks:
            pass

    def blocking(self) -> None:
        """Read nothing."""


class Close(NamedTuple):
    """Close the chunks of a source."""

    source: Source

    async def awaited(self) -> None:
        """Close async chunks."""
        await self.source.aclose()

    def blocking(self) -> None:
        """Close plain chunks."""
        self.source.close()


class Body(NamedTuple):
    """Return an iterator of what steps give: an async one on a loop, a plain one in a plain thread."""

    steps: Steps

    async def awaited(self) -> Any:
        """Return an async generator."""
        return streamed(self.steps)

    def blocking(self) -> Any:
        """Return a plain generator."""
        return streamed_blocking(self.steps)
