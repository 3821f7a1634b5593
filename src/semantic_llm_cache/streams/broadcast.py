"""One stream, many readers: who joins late gets all chunks from the start."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future
from typing import Any

from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.values.encoding import Encoded, freeze, thaw
from semantic_llm_cache.values.offload import LONG, MANY

__all__ = ["BREATH", "Broadcast", "Reader"]

BREATH = 256
"""Chunks handed on at once before others on the event loop get their turn."""

_LOOK_AGAIN = 0.5
"""Seconds between two looks at whether another thread's event loop still carries its stream."""


class Reader:
    """One reader's place in a broadcast."""

    __slots__ = ("first", "position", "wake")

    def __init__(self, first: bool) -> None:
        self.position = 0
        self.first = first
        self.wake: Callable[[], None] | None = None


class Broadcast:
    """The chunks of a stream in the making.

    Chunks are held frozen, and each reader gets its own copies; the first reader gets the source's own objects.
    Past `limit` characters nobody can join any more and what all have read is dropped; the source then waits for
    the slowest reader.

    Args:
        limit: most characters held.
        on_idle: called when the last reader has left before the end.
        loop: the event loop that carries the source; None when plain readers pull it.

    Attributes:
        pull: fetches the next chunk of a source that plain readers pull: ``pull.next(ahead)``.
        instead: the `Found` whose answer is told in place of the source's, if one is.
        settled: done when the stream has been stored, or will not be.
    """

    def __init__(
        self,
        limit: int,
        on_idle: Callable[[], None] | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._chunks: list[Any] = []
        self._dropped = 0
        self._sizes: list[int] = []
        self._size = 0
        self._limit = limit
        self._readers: set[Reader] = set()
        self._room: Callable[[], None] | None = None
        self.on_idle = on_idle
        self.loop = loop
        self.pull: Any = None
        self.instead: Any = None
        self.settled: Future[None] = Future()
        self.done = False
        self.over = False  # its last chunk is here: it will be stored, whoever leaves
        self.error: BaseException | None = None
        self.unstorable = ""
        self._joined = 0
        self.whole = True
        """True while every chunk is held: the stream can be joined, and stored when it ends."""

    # ------------------------------------------------------------------ the source's side

    def push(self, chunk: Any) -> None:
        """Add a chunk. After one that cannot be copied, the stream can be neither joined nor stored."""
        try:
            frozen = freeze(chunk)
        except CacheSerializationError as error:
            frozen, self.whole, self.unstorable = None, False, self.unstorable or describe(error)
        size = len(frozen.text) if type(frozen) is Encoded else len(frozen) if isinstance(frozen, (str, bytes)) else 8
        with self._lock:
            self._chunks.append((frozen, chunk))
            self._sizes.append(size)
            self._size += size
            if self._size > self._limit:
                self.whole = False
                self._trim()
            wakes = [reader.wake for reader in self._readers if reader.wake is not None]
        for wake in wakes:
            wake()

    def full(self, room: Callable[[], None]) -> bool:
        """Tell whether the source should wait; `room` is called when it may go on."""
        with self._lock:
            if self._size <= self._limit or not self._readers:
                return False
            self._room = room
            return True

    @property
    def begun(self) -> bool:
        """Whether there has been a chunk."""
        return bool(self._chunks) or self._dropped > 0

    def end(self, error: BaseException | None = None) -> None:
        """Say that no more chunks come, or that the source failed."""
        with self._lock:
            if self.done:
                return
            self.done, self.error = True, error
            wakes = [reader.wake for reader in self._readers if reader.wake is not None]
        for wake in wakes:
            wake()

    @property
    def large(self) -> bool:
        """Whether handling all chunks at once would hold an event loop up: see `is_large`."""
        return self._size > LONG or len(self._chunks) > MANY

    def chunks(self) -> list[Any]:
        """Return all chunks, thawed."""
        return [thaw(frozen) for frozen, _ in self._chunks]

    def _trim(self) -> None:
        keep = min((reader.position for reader in self._readers), default=self._dropped + len(self._chunks))
        count = keep - self._dropped
        if count > 0:
            self._size -= sum(self._sizes[:count])
            del self._chunks[:count], self._sizes[:count]
            self._dropped = keep

    # ------------------------------------------------------------------ the readers' side

    def join(self, plain: bool = False) -> Reader | None:
        """Return a place at the start; None when the start is gone, the stream has failed, or nobody carries it.

        Nor is there a place for plain code that would keep the very loop from going on that carries the stream.
        """
        if self.loop is not None and not self.done:
            if not self.loop.is_running():
                return None
            if plain and asyncio._get_running_loop() is self.loop:
                return None
        with self._lock:
            if not self.whole or self.error is not None:
                return None
            reader = Reader(first=not self._joined)
            self._joined += 1
            self._readers.add(reader)
            return reader

    def leave(self, reader: Reader) -> None:
        """Give a place up."""
        with self._lock:
            if reader not in self._readers:
                return
            self._readers.discard(reader)
            idle = not self._readers and not self.done and not self.over
            room = self._after_reading()
        if room is not None:
            room()
        if idle and self.on_idle is not None:
            self.on_idle()

    def _after_reading(self) -> Callable[[], None] | None:
        if self.whole:
            return None
        self._trim()
        if self._size <= self._limit or not self._readers:
            room, self._room = self._room, None
            return room
        return None

    def ahead(self, reader: Reader) -> bool:
        """Tell whether there is a chunk that the reader has not taken."""
        with self._lock:
            return reader.position - self._dropped < len(self._chunks)

    def take(self, reader: Reader) -> tuple[bool, Any]:
        """Return (True, chunk) for the reader's next chunk, (False, None) when there is none yet."""
        with self._lock:
            index = reader.position - self._dropped
            if index >= len(self._chunks):
                return False, None
            frozen, chunk = self._chunks[index]
            reader.position += 1
            if reader.first and self.whole:
                self._chunks[index] = (frozen, None)  # nobody else is to see the source's own object
            unshared = frozen is None and chunk is not None
            room = self._after_reading()
        if room is not None:
            room()
        return True, chunk if reader.first or unshared else thaw(frozen)

    async def read(self, reader: Reader) -> AsyncGenerator[Any, None]:
        """Yield a reader's chunks as they come; raise what the source raised."""
        loop = asyncio.get_running_loop()
        event = asyncio.Event()

        def wake() -> None:
            if asyncio._get_running_loop() is loop:
                event.set()
                return
            with contextlib.suppress(RuntimeError):  # that loop is closed, and its tasks with it
                loop.call_soon_threadsafe(event.set)

        reader.wake = wake
        stopped = False
        try:
            while True:
                found, chunk = self.take(reader)
                if found:
                    if reader.position % BREATH == 0:
                        await asyncio.sleep(0)
                    yield chunk
                    continue
                if self.done:
                    found, chunk = self.take(reader)
                    if found:
                        yield chunk
                        continue
                    if self.error is not None:
                        raise self.error
                    return
                if self.pull is not None:
                    await asyncio.to_thread(self.pull.next, lambda: self.ahead(reader))
                    continue
                if self.loop is None or self.loop is loop:
                    await event.wait()
                else:
                    with contextlib.suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(event.wait(), _LOOK_AGAIN)
                    stopped = self._look_after(stopped)
                event.clear()
        finally:
            reader.wake = None
            self.leave(reader)

    def read_blocking(self, reader: Reader) -> Iterator[Any]:
        """`read` for plain code: whoever lacks a chunk pulls the next one from the source, or waits for its loop."""
        event = threading.Event()
        reader.wake = event.set
        stopped = False
        try:
            while True:
                found, chunk = self.take(reader)
                if found:
                    yield chunk
                elif self.done:
                    found, chunk = self.take(reader)
                    if found:
                        yield chunk
                        continue
                    if self.error is not None:
                        raise self.error
                    return
                elif self.pull is not None:
                    self.pull.next(lambda: self.ahead(reader))
                else:
                    if not event.wait(_LOOK_AGAIN):
                        stopped = self._look_after(stopped)
                    event.clear()
        finally:
            reader.wake = None
            self.leave(reader)

    def _look_after(self, stopped: bool) -> bool:
        """End a stream whose event loop is closed, or stopped at two looks in a row: nobody carries it."""
        if self.loop is None or self.done or self.loop.is_running():
            return False
        if stopped or self.loop.is_closed():
            self.end(ConnectionError("the event loop that carried this stream has stopped"))
        return True
