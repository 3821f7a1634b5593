"""Streams: async and plain generators through the cache.

The first caller gets chunks as they come; others who ask the same join and get all chunks from the start; a
hit replays them. Stored only when the stream ended well: one that fails, or that everybody left, stores nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from time import perf_counter
from typing import Any, Protocol, get_args

from semantic_llm_cache import runtime
from semantic_llm_cache.broadcast import Broadcast, Reader
from semantic_llm_cache.engine import SemanticCache
from semantic_llm_cache.request import Request
from semantic_llm_cache.serialization import rebuild
from semantic_llm_cache.settings import CallSettings
from semantic_llm_cache.tiers import Found

__all__ = ["Codec", "stream", "stream_blocking"]


class Codec(Protocol):
    """How a door keeps its streams: what of them is stored, and which chunk is the last."""

    def chunks(self, value: Any) -> list[Any] | None:
        """Return the chunks of a stored answer; None when it cannot be told as a stream, which is a miss."""

    def value(self, chunks: list[Any]) -> Any:
        """Return what to store of a stream that has ended; None when it must not be stored."""

    def ends(self, chunk: Any) -> bool:
        """Tell whether no chunk of meaning follows: the stream is then stored, even if its reader goes away."""


class _Streams:
    """The broadcasts under way on one backend, by key."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.live: dict[str, Broadcast] = {}

    def join(self, key: str) -> tuple[Broadcast, Reader] | None:
        with self.lock:
            broadcast = self.live.get(key)
            reader = None if broadcast is None else broadcast.join()
        return None if broadcast is None or reader is None else (broadcast, reader)

    def open(self, key: str, broadcast: Broadcast) -> tuple[Broadcast, Reader, bool]:
        """Return a place in the live broadcast of `key`, or in `broadcast`, which is live then (True)."""
        with self.lock:
            other = self.live.get(key)
            reader = None if other is None else other.join()
            if other is not None and reader is not None:
                return other, reader, False
            self.live[key] = broadcast
        reader = broadcast.join()
        assert reader is not None
        return broadcast, reader, True

    def close(self, key: str, broadcast: Broadcast) -> None:
        with self.lock:
            if self.live.get(key) is broadcast:
                del self.live[key]


def _streams_of(engine: SemanticCache) -> _Streams:
    state = engine.bound()[1]
    if state.streams is None:
        state.streams = _Streams()
    found: _Streams = state.streams
    return found


class _Call:
    """One caller's way through a stream."""

    def __init__(
        self, engine: SemanticCache, request: Request, settings: CallSettings, codec: Codec | None = None
    ) -> None:
        self.engine = engine
        self.codec = codec
        self.request = request
        self.settings = settings
        self.streams = _streams_of(engine)
        self.started = perf_counter()

    def rebuilt(self, chunk: Any) -> Any:
        """Return a chunk as an instance of the type that the function's annotation names."""
        if self.codec is not None:
            return chunk
        kinds = get_args(self.settings.target)
        return rebuild(chunk, kinds[0] if kinds else Any)

    async def find(self) -> Found:
        found = await self.engine.find(self.request, self.settings)
        if found.outcome in ("exact", "near") and self.codec is not None:
            found.value = self.codec.chunks(found.value)
        if found.outcome in ("exact", "near") and not isinstance(found.value, list):
            found.outcome, found.reason, found.value = "miss", "the stored answer is no stream", None
        return found

    def ended(self, found: Found, *, stored: bool = False) -> None:
        self.engine._finish(self.request, self.settings, found, self.started, stored=stored)

    def ends(self, chunk: Any) -> bool:
        return self.codec is not None and self.codec.ends(chunk)

    def failed(self, found: Found, error: BaseException) -> None:
        self.engine._finish_failed(self.request, self.settings, found, self.started, error)

    async def store(self, broadcast: Broadcast, found: Found, duration_ms: float) -> bool:
        """Keep a stream that has ended well."""
        if not broadcast.whole:
            if broadcast.unstorable:
                self.engine._warn(f"a stream is returned uncached: {broadcast.unstorable}")
            return False
        if self.codec is not None:
            chunks = self.codec.value(broadcast.chunks())
            if chunks is None:
                return False
        else:
            chunks = rebuild(broadcast.chunks(), self.settings.target)
        outcome = await self.engine.admit(self.request, self.settings, chunks, found, duration_ms)
        return outcome.stored


async def stream(
    engine: SemanticCache,
    request: Request,
    source: Callable[[], AsyncIterator[Any]],
    settings: CallSettings,
    replay_delay: float | None = None,
    codec: Codec | None = None,
) -> AsyncIterator[Any]:
    """Yield the answer to `request` chunk by chunk: from the cache, a stream under way, or `source`.

    Args:
        engine: the cache.
        request: what is asked.
        source: opens the function's own stream.
        settings: of the call; `target` is the type of a list of chunks.
        replay_delay: seconds between the chunks of a hit; None replays at once.
        codec: how the stream is kept; None keeps the list of its chunks.
    """
    if not settings.enabled or engine.shadow:
        engine.bypassed(request.namespace)
        async for chunk in source():
            yield chunk
        return
    call = _Call(engine, request, settings, codec)
    place = call.streams.join(request.key)
    first = False
    if place is None:
        found = await call.find()
        if found.outcome in ("exact", "near"):
            call.ended(found)
            for i, chunk in enumerate(found.value):
                if i and replay_delay:
                    await asyncio.sleep(replay_delay)
                yield chunk
            return
        broadcast, reader, first = call.streams.open(request.key, Broadcast(engine.max_response))
        place = broadcast, reader
        if first:
            task = asyncio.get_running_loop().create_task(_produce(call, source, broadcast, found))
            broadcast.on_idle = _canceller(task)
    if not first:
        call.ended(Found("coalesced", "joined the same stream in flight"))
    broadcast, reader = place
    try:
        async with contextlib.aclosing(broadcast.read(reader)) as chunks:
            async for chunk in chunks:
                yield chunk if first else call.rebuilt(chunk)
    except Exception as error:
        if first:
            call.failed(found, error)
        raise
    except GeneratorExit:
        if first and broadcast.over:  # the reader has all there is and did not wait for the end
            call.ended(found, stored=await asyncio.shield(task))
        raise
    if first:
        # The last chunk is out; the caller goes on when the answer is stored, as with any other call.
        call.ended(found, stored=await asyncio.shield(task))


def _canceller(task: asyncio.Task[bool]) -> Callable[[], None]:
    loop = task.get_loop()

    def cancel() -> None:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(task.cancel)

    return cancel


async def _produce(call: _Call, source: Callable[[], AsyncIterator[Any]], broadcast: Broadcast, found: Found) -> bool:
    """Read the function's stream to its end, whoever listens, and store it; True when it was stored."""
    loop = asyncio.get_running_loop()
    began = perf_counter()
    room = asyncio.Event()

    def wake() -> None:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(room.set)

    try:
        chunks = source()
        try:
            async for chunk in chunks:
                broadcast.over = call.ends(chunk)
                broadcast.push(chunk)
                if broadcast.over:
                    break
                while broadcast.full(wake):
                    await room.wait()
                    room.clear()
        finally:
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()
    except Exception as error:
        call.streams.close(call.request.key, broadcast)
        broadcast.end(error)
        return False
    except BaseException as error:
        call.streams.close(call.request.key, broadcast)
        broadcast.end(error)
        raise
    took = (perf_counter() - began) * 1000
    # Readers may finish while the entry is being written; who asks meanwhile still joins this stream.
    broadcast.end()
    try:
        return await call.store(broadcast, found, took)
    except Exception as error:
        engine = call.engine
        if engine.on_error == "raise":
            raise
        engine.log_once("stream", f"a stream was not stored: {error!r}")
        return False
    finally:
        call.streams.close(call.request.key, broadcast)


class _Pull:
    """A plain generator that several readers read: whoever lacks a chunk fetches the next one."""

    def __init__(self, call: _Call, source: Callable[[], Iterator[Any]], broadcast: Broadcast, found: Found) -> None:
        self.call = call
        self.broadcast = broadcast
        self.found = found
        self.lock = threading.Lock()
        self.chunks = source()
        self.began = perf_counter()
        self.stored = False
        broadcast.on_idle = self.abandon

    def next(self, position: Callable[[], bool]) -> None:
        """Fetch one chunk, unless another reader has fetched one meanwhile (`position` tells)."""
        with self.lock:
            if self.broadcast.done or position():
                return
            try:
                chunk = next(self.chunks)
            except StopIteration:
                self.finish()
            except BaseException as error:
                self.call.streams.close(self.call.request.key, self.broadcast)
                self.broadcast.end(error)
            else:
                self.broadcast.over = self.call.ends(chunk)
                self.broadcast.push(chunk)
                if self.broadcast.over:
                    self.finish()
                    self.close()

    def finish(self) -> None:
        took = (perf_counter() - self.began) * 1000
        call = self.call
        try:
            self.stored = runtime.run(call.store(self.broadcast, self.found, took))
        except Exception as error:
            if call.engine.on_error == "raise":
                self.broadcast.end(error)
                return
            call.engine.log_once("stream", f"a stream was not stored: {error!r}")
        finally:
            call.streams.close(call.request.key, self.broadcast)
        self.broadcast.end()

    def abandon(self) -> None:
        """All readers have left before the end: nothing is stored."""
        self.call.streams.close(self.call.request.key, self.broadcast)
        with self.lock:
            self.broadcast.end(GeneratorExit())
            self.close()

    def close(self) -> None:
        close = getattr(self.chunks, "close", None)
        if close is not None:
            close()


def stream_blocking(
    engine: SemanticCache,
    request: Request,
    source: Callable[[], Iterator[Any]],
    settings: CallSettings,
    replay_delay: float | None = None,
    codec: Codec | None = None,
) -> Iterator[Any]:
    """`stream` for plain generators, which run in the threads of those who read them."""
    if not settings.enabled or engine.shadow:
        engine.bypassed(request.namespace)
        yield from source()
        return
    call = _Call(engine, request, settings, codec)
    place = call.streams.join(request.key)
    first = False
    if place is None:
        found = runtime.run(call.find())
        if found.outcome in ("exact", "near"):
            call.ended(found)
            for i, chunk in enumerate(found.value):
                if i and replay_delay:
                    time.sleep(replay_delay)
                yield chunk
            return
        broadcast = Broadcast(engine.max_response)
        broadcast.pull = _Pull(call, source, broadcast, found)
        broadcast, reader, first = call.streams.open(request.key, broadcast)
        place = broadcast, reader
    if not first:
        call.ended(Found("coalesced", "joined the same stream in flight"))
    broadcast, reader = place
    pull = broadcast.pull
    try:
        for chunk in broadcast.read_blocking(reader, lambda: pull.next(lambda: broadcast.ahead(reader))):
            yield chunk if first else call.rebuilt(chunk)
    except Exception as error:
        if first:
            call.failed(found, error)
        raise
    except GeneratorExit:
        if first and broadcast.over:
            call.ended(found, stored=pull.stored)
        raise
    if first:
        call.ended(found, stored=pull.stored)
