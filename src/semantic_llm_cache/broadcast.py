"""One stream, many readers: who joins late gets all chunks from the start."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.serialization import Encoded, freeze, thaw

__all__ = ["Broadcast", "Reader"]


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
    """

    def __init__(self, limit: int, on_idle: Callable[[], None] | None = None) -> None:
        self._lock = threading.Lock()
        self._chunks: list[Any] = []
        self._dropped = 0
        self._sizes: list[int] = []
        self._size = 0
        self._limit = limit
        self._readers: set[Reader] = set()
        self._room: Callable[[], None] | None = None
        self.on_idle = on_idle
        self.pull: Any = None
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
            frozen, self.whole, self.unstorable = None, False, self.unstorable or str(error)
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

    def end(self, error: BaseException | None = None) -> None:
        """Say that no more chunks come, or that the source failed."""
        with self._lock:
            if self.done:
                return
            self.done, self.error = True, error
            wakes = [reader.wake for reader in self._readers if reader.wake is not None]
        for wake in wakes:
            wake()

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

    def join(self) -> Reader | None:
        """Return a place at the start, or None when the start is gone or the stream has failed."""
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
            with contextlib.suppress(RuntimeError):  # that loop is closed, and its tasks with it
                loop.call_soon_threadsafe(event.set)

        reader.wake = wake
        try:
            while True:
                found, chunk = self.take(reader)
                if found:
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
                await event.wait()
                event.clear()
        finally:
            reader.wake = None
            self.leave(reader)

    def read_blocking(self, reader: Reader, pull: Callable[[], None]) -> Iterator[Any]:
        """`read` for plain code: whoever lacks a chunk pulls the next one from the source."""
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
                else:
                    pull()
        finally:
            self.leave(reader)
