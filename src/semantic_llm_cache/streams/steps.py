"""Steps of streams: see `engine.driving`."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple

from semantic_llm_cache.engine.outcome import Failure, Sentinel
from semantic_llm_cache.runtime.awaiting import limited

__all__ = ["END", "Close", "Give", "Next", "Pause", "Settled", "Source"]

END: Any = Sentinel("END")
"""In place of a chunk: there are no more."""


class Give(NamedTuple):
    """Hand a chunk to the caller. Only the drivers of whole streams know how."""

    chunk: Any


class Pause(NamedTuple):
    """Wait; with 0 seconds, let others on the event loop have their turn."""

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

    __slots__ = ("_chunks", "_open", "_stream")

    def __init__(self, open: Callable[[], Any]) -> None:
        self._open = open
        self._stream: Any = None
        self._chunks: Any = None

    async def anext(self) -> Any:
        """Return the next chunk of an async stream. Raises StopAsyncIteration after the last."""
        if self._chunks is None:
            self._stream = self._open()
            self._chunks = aiter(self._stream)
        return await anext(self._chunks)

    def next(self) -> Any:
        """Return the next chunk of a plain stream. Raises StopIteration after the last."""
        if self._chunks is None:
            self._stream = self._open()
            self._chunks = iter(self._stream)
        return next(self._chunks)

    def closer(self, name: str) -> Any:
        """Return the stream's own method to close it, if it was opened and has one."""
        return getattr(self._stream, name, None)


class Next(NamedTuple):
    """Return the next chunk of a source: `END` after the last, a `Failure` when it raises."""

    source: Source

    async def awaited(self) -> Any:
        """Of an async stream."""
        try:
            return await self.source.anext()
        except StopAsyncIteration:
            return END
        except BaseException as error:
            return Failure(error)

    def blocking(self) -> Any:
        """Of a plain stream."""
        try:
            return self.source.next()
        except StopIteration:
            return END
        except BaseException as error:
            return Failure(error)


class Close(NamedTuple):
    """Close a source, if it is of a kind that can be closed."""

    source: Source

    async def awaited(self) -> None:
        """Close an async stream."""
        close = self.source.closer("aclose")
        if close is not None:
            await close()

    def blocking(self) -> None:
        """Close a plain stream."""
        close = self.source.closer("close")
        if close is not None:
            close()


class Settled(NamedTuple):
    """Wait until it is known whether a stream has been stored, and return that. Raises what storing it raised."""

    settled: Future[bool]
    timeout: float | None = None

    async def awaited(self) -> bool:
        """Wait on the running event loop."""
        loop = asyncio.get_running_loop()
        known = asyncio.Event()

        def wake(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # that loop is closed, and its tasks with it
                loop.call_soon_threadsafe(known.set)

        self.settled.add_done_callback(wake)
        await limited(known.wait(), self.timeout)
        return self.settled.result()

    def blocking(self) -> bool:
        """Wait in this thread."""
        return self.settled.result(self.timeout)
