"""One stream, many readers: a reader who joins late gets all chunks from the start."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Any

from semantic_llm_cache.engine.driving import Steps
from semantic_llm_cache.engine.outcome import AGAIN, Failure, Found
from semantic_llm_cache.exceptions import CacheReentryError, CacheSerializationError
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.streams.steps import END, Pause
from semantic_llm_cache.values.encoding import Encoded, freeze, thaw
from semantic_llm_cache.values.offload import LONG, MANY

__all__ = ["BREATH", "Broadcast", "Reader", "current_streams"]

current_streams: ContextVar[tuple[Broadcast, ...]] = ContextVar("semantic_llm_cache.streams", default=())
"""The streams whose source is being read in this context, outermost first."""

BREATH = 256
"""How many chunks are handed on before other tasks on the event loop may run."""

_LOOK_AGAIN = 0.5
"""Seconds between two checks whether another thread's event loop still runs its stream."""


class Reader:
    """One reader's place in a broadcast.

    Args:
        first: whether this is the caller that opened the stream.
        plain: whether it is plain code, which waits in its own thread.
    """

    __slots__ = ("bell", "first", "plain", "position")

    def __init__(self, first: bool, plain: bool) -> None:
        self.position = 0
        self.first = first
        self.plain = plain
        self.bell: _LoopBell | _ThreadBell | None = None


class Broadcast:
    """The chunks of a stream that is being read.

    Chunks are held frozen, and each reader gets its own copies; the first reader gets the source's own objects.
    Beyond `limit` characters no more readers can join, and chunks that all have read are dropped; the source then waits
    for the slowest reader.

    Args:
        limit: the most characters to hold.
        loop: the event loop that runs the source; None if plain readers pull it.

    Attributes:
        pull: fetches the next chunk of a source that plain readers pull: ``pull.next(reader)``.
        fetching: of a plain source, the reader that fetched last.
        stopped: its event loop has stopped.
        instead: the `Found` whose answer replaces the source's, if any.
        over: the last chunk has arrived, so the stream will be stored even if all readers leave.
        gone: all readers left before the end, so no more may join.
        whole: True while every chunk is held: the stream can be joined, and stored when it ends.
        settled: a future for whether the stream was stored.
        refused: why it was not stored, once `settled` is False.
    """

    def __init__(self, limit: int, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._lock = threading.RLock()  # reentrant: the garbage collector may close a plain stream meanwhile
        self._chunks: list[Any] = []
        self._dropped = 0
        self._sizes: list[int] = []
        self._size = 0
        self._limit = limit
        self._readers: set[Reader] = set()
        self._room: Callable[[], None] | None = None
        self._joined = 0
        self.on_idle: Callable[[Reader], None] | None = None
        """Called with the last reader when it has left before the end."""
        self.loop = loop
        self.pull: Any = None
        self.instead: Found | None = None
        self.labels: Collection[str] = ()
        """Those that its answer is stored with."""
        self.settled: Future[bool] = Future()
        self.fetching: Reader | None = None
        self.stopped = False
        self.done = False
        self.over = False
        self.gone = False
        self.error: BaseException | None = None
        self.unstorable = ""
        self.refused = ""
        self.whole = True

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
            bells = [reader.bell for reader in list(self._readers) if reader.bell is not None]
        for bell in bells:
            bell.ring()

    @property
    def crowded(self) -> bool:
        """Whether more is held than the limit allows."""
        return self._size > self._limit

    def full(self, room: Callable[[], None]) -> bool:
        """Return whether the source should wait; `room` is called when it may continue."""
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
        """Mark the stream as ended, or as failed."""
        with self._lock:
            if self.done:
                return
            self.done, self.error = True, error
            if not self._readers:  # else the last of them does this
                self._let_go()
            bells = [reader.bell for reader in list(self._readers) if reader.bell is not None]
        for bell in bells:
            bell.ring()

    def stop(self) -> None:
        """Mark the stream as failed because its event loop has stopped."""
        self.stopped = True
        self.end(ConnectionError("the event loop that carried this stream has stopped"))

    @property
    def large(self) -> bool:
        """Whether handling all chunks at once would block an event loop too long: see `is_large`."""
        return self._size > LONG or len(self._chunks) > MANY

    def chunks(self) -> list[Any]:
        """Return all chunks, thawed."""
        return [thaw(frozen) for frozen, _ in self._chunks]

    def _trim(self) -> None:
        keep = min((reader.position for reader in list(self._readers)), default=self._dropped + len(self._chunks))
        count = keep - self._dropped
        if count > 0:
            self._size -= sum(self._sizes[:count])
            del self._chunks[:count], self._sizes[:count]
            self._dropped = keep

    # ------------------------------------------------------------------ the readers' side

    def join(self, plain: bool = False) -> Reader | None:
        """Return a place at the start, or None if the start is gone, the stream has failed, or its loop has stopped.

        There is no place either for plain code that would block the very loop that carries the stream.

        Args:
            plain: whether the reader is plain code.

        Raises:
            CacheReentryError: the stream's own source asks for it.
        """
        if not self.done and self in current_streams.get():
            raise CacheReentryError(
                "a cached stream asks, from within itself, for the stream it is making, and would wait for ever: "
                "call the undecorated function (__wrapped__) inside, or give the inner call another prompt or scope"
            )
        if self.loop is not None and not self.done:
            if not self.loop.is_running():
                return None
            if plain and asyncio._get_running_loop() is self.loop:
                return None
        reader = Reader(False, plain)
        with self._lock:
            if not self.whole or self.gone or self.error is not None:
                return None
            reader.first = not self._joined
            self._joined += 1
            self._readers.add(reader)
            return reader

    def leave(self, reader: Reader) -> None:
        """Give a place up. When the last one is given up before the end, in the same step nobody can join any more."""
        with self._lock:
            if reader not in self._readers:
                return
            self._readers.discard(reader)
            idle = not self._readers and not self.done and not self.over
            self.gone = self.gone or idle
            if self.done and not self._readers:
                self._let_go()
            room = self._after_reading()
        if room is not None:
            room()
        if idle and self.on_idle is not None:
            self.on_idle(reader)

    def _let_go(self) -> None:
        """Drop what would keep the source's exception alive: it holds frames, and they hold this broadcast."""
        self.gone = self.gone or self.error is not None
        self.error = self.pull = self.on_idle = None

    def _after_reading(self) -> Callable[[], None] | None:
        if self.whole:
            return None
        self._trim()
        if self._size <= self._limit or not self._readers:
            room, self._room = self._room, None
            return room
        return None

    def ahead(self, reader: Reader) -> bool:
        """Return whether there is a chunk that the reader has not taken."""
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
                self._chunks[index] = (frozen, None)  # no other reader may see the source's own object
            unshared = frozen is None and chunk is not None
            room = self._after_reading()
        if room is not None:
            room()
        return True, chunk if reader.first or unshared else thaw(frozen)

    def next(self, reader: Reader) -> Steps:
        """Return a reader's next chunk as soon as it is there, `END` after the last, a `Failure` of the source.

        `AGAIN` if the stream was stopped before the reader's first chunk, through no fault of the source.
        """
        while True:
            done = self.done  # read first: by then all chunks before the end are here
            found, chunk = self.take(reader)
            if found:
                if reader.position % BREATH == 0:
                    yield Pause(0)
                return chunk
            if done:
                return self._ending(reader)
            yield _More(self, reader)

    def _ending(self, reader: Reader) -> Any:
        error = self.error
        if error is None:
            return END
        # CancelledError, KeyboardInterrupt and the like concern one reader: the one for whom the source is read.
        own = reader.first if self.loop is not None else reader is self.fetching
        if not self.stopped and (own or isinstance(error, Exception)):
            return Failure(error)
        if not reader.position:
            return AGAIN
        if not isinstance(error, Exception):
            error = ConnectionError(f"this stream, which another call had opened, was stopped: {describe(error)}")
        return Failure(error)

    def look_after(self, stopped: bool) -> bool:
        """End a stream whose event loop is closed, or was not running at two checks in a row.

        Takes the result of the check before.
        """
        if self.loop is None or self.done or self.loop.is_running():
            return False
        if stopped or self.loop.is_closed():
            self.stop()
        return True


class _More:
    """Wait until a reader's next chunk may be there, or fetch it if readers do that."""

    __slots__ = ("_broadcast", "_reader")

    def __init__(self, broadcast: Broadcast, reader: Reader) -> None:
        self._broadcast = broadcast
        self._reader = reader

    async def awaited(self) -> None:
        if self._broadcast.pull is not None:
            await asyncio.to_thread(self._broadcast.pull.next, self._reader)
            return
        bell = self._reader.bell
        if not isinstance(bell, _LoopBell):
            self._reader.bell = _LoopBell()
            return  # a chunk may have arrived before the bell was set: check again
        await bell.wait(self._broadcast)

    def blocking(self) -> None:
        if self._broadcast.pull is not None:
            self._broadcast.pull.next(self._reader)
            return
        bell = self._reader.bell
        if not isinstance(bell, _ThreadBell):
            self._reader.bell = _ThreadBell()
            return
        bell.wait(self._broadcast)


class _LoopBell:
    """Wakes a reader on an event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self._stopped = False

    def ring(self) -> None:
        if asyncio._get_running_loop() is self._loop:
            self._event.set()
            return
        with contextlib.suppress(RuntimeError):  # that loop is closed, and so are its tasks
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self, broadcast: Broadcast) -> None:
        if broadcast.loop is None or broadcast.loop is self._loop:
            await self._event.wait()
        else:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._event.wait(), _LOOK_AGAIN)
            self._stopped = broadcast.look_after(self._stopped)
        self._event.clear()


class _ThreadBell:
    """Wakes a reader in a plain thread."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._stopped = False

    def ring(self) -> None:
        self._event.set()

    def wait(self, broadcast: Broadcast) -> None:
        if not self._event.wait(_LOOK_AGAIN):
            self._stopped = broadcast.look_after(self._stopped)
        self._event.clear()
