"""Steps of streams: see `engine.driving`."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

from semantic_llm_cache.engine.outcome import Failure, Sentinel
from semantic_llm_cache.runtime.awaiting import limited

__all__ = ["END", "Close", "Give", "Next", "Pause", "Settled", "Source"]

END: Any = Sentinel("END")
"""Stands for a chunk when there are no more."""


class Give:
    """Hand chunks to the caller, one by one. Only the drivers of whole streams can do this."""

    __slots__ = ("chunks",)

    def __init__(self, chunks: Sequence[Any]) -> None:
        self.chunks = chunks


class Pause(NamedTuple):
    """Wait; with 0 seconds, let others on the event loop run."""

    seconds: float

    async def awaited(self) -> None:
        """Wait on the running event loop."""
        await asyncio.sleep(self.seconds)

    def blocking(self) -> None:
        """Wait in this thread."""
        if self.seconds:
            time.sleep(self.seconds)


class Source:
    """The function's own stream, opened when its first chunk is asked for."""

    __slots__ = ("chunks", "open", "stream")

    def __init__(self, open: Callable[[], Any]) -> None:
        self.open = open
        self.stream: Any = None
        self.chunks: Any = None


class Next:
    """Return the next chunk of a source: `END` after the last, a `Failure` when it raises."""

    __slots__ = ("_source",)

    def __init__(self, source: Source) -> None:
        self._source = source

    async def awaited(self) -> Any:
        """Return the next chunk of an async stream."""
        source = self._source
        try:
            if source.chunks is None:
                source.stream = source.open()
                source.chunks = aiter(source.stream)
            return await anext(source.chunks)
        except StopAsyncIteration:
            return END
        except BaseException as error:
            return Failure(error)

    def blocking(self) -> Any:
        """Return the next chunk of a plain stream."""
        source = self._source
        try:
            if source.chunks is None:
                source.stream = source.open()
                source.chunks = iter(source.stream)
            return next(source.chunks)
        except StopIteration:
            return END
        except BaseException as error:
            return Failure(error)


class Close(NamedTuple):
    """Close a source, if it can be closed."""

    source: Source

    async def awaited(self) -> None:
        """Close an async stream."""
        close = getattr(self.source.stream, "aclose", None)
        if close is not None:
            await close()

    def blocking(self) -> None:
        """Close a plain stream."""
        close = getattr(self.source.stream, "close", None)
        if close is not None:
            close()


class Settled(NamedTuple):
    """Wait until a stream has been stored or not, and return which. Raises what storing it raised."""

    settled: Future[bool]
    timeout: float | None = None

    async def awaited(self) -> bool:
        """Wait on the running event loop."""
        loop = asyncio.get_running_loop()
        known = asyncio.Event()

        def wake(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # that loop is closed, and so are its tasks
                loop.call_soon_threadsafe(known.set)

        self.settled.add_done_callback(wake)
        await limited(known.wait(), self.timeout)
        return self.settled.result()

    def blocking(self) -> bool:
        """Wait in this thread."""
        return self.settled.result(self.timeout)
