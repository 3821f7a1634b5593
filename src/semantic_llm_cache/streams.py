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
from typing import Any

from semantic_llm_cache import lookup as lookups
from semantic_llm_cache import runtime
from semantic_llm_cache.broadcast import Broadcast, Reader
from semantic_llm_cache.engine import SemanticCache
from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.request import Request
from semantic_llm_cache.serialization import rebuild
from semantic_llm_cache.settings import CallSettings
from semantic_llm_cache.tiers import Found

__all__ = ["stream", "stream_blocking"]


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

    def __init__(self, engine: SemanticCache, request: Request, settings: CallSettings) -> None:
        self.engine = engine
        self.request = request
        self.settings = settings
        self.streams = _streams_of(engine)
        self.started = perf_counter()

    def item(self, chunk: Any) -> Any:
        """Return a chunk rebuilt to the type that the function's annotation names."""
        return rebuild(chunk, self.settings.target)

    async def find(self) -> Found:
        found = await self.engine.find(self.request, self.settings)
        if found.outcome in ("exact", "near") and not isinstance(found.value, list):
            found.outcome, found.reason, found.value = "miss", "the stored answer is no stream", None
        return found

    def ended(self, found: Found, *, stored: bool = False) -> None:
        self.engine.finish(self.request, self.settings, found, self.started, stored=stored)

    async def store(self, broadcast: Broadcast, found: Found, duration_ms: float) -> bool:
        """Keep a stream that has ended well."""
        if not broadcast.whole:
            return False
        settings = self.settings
        chunks = [self.item(chunk) for chunk in broadcast.chunks()]
        outcome = await self.engine.admit(self.request, settings, chunks, found, duration_ms)
        return outcome.stored


def _broadcast(engine: SemanticCache) -> Broadcast:
    return Broadcast(engine.max_response)


async def stream(
    engine: SemanticCache,
    request: Request,
    source: Callable[[], AsyncIterator[Any]],
    settings: CallSettings,
    replay_delay: float | None = None,
) -> AsyncIterator[Any]:
    """Yield the answer to `request` chunk by chunk: from the cache, a stream under way, or `source`.

    Args:
        engine: the cache.
        request: what is asked.
        source: opens the function's own stream.
        settings: of the call; `target` is the type of one list of chunks.
        replay_delay: seconds between the chunks of a hit; None replays at once.
    """
    if not settings.enabled or engine.shadow:
        engine.bypassed(request.namespace)
        async for chunk in source():
            yield chunk
        return
    call = _Call(engine, request, settings)
    joined = call.streams.join(request.key)
    if joined is None:
        found = await call.find()
        if found.outcome in ("exact", "near"):
            call.ended(found)
            for i, chunk in enumerate(found.value):
                if i and replay_delay:
                    await asyncio.sleep(replay_delay)
                yield chunk
            return
        broadcast, reader, first = call.streams.open(request.key, _broadcast(engine))
        if first:
            await _lead(call, source, broadcast, reader, found)
            async with contextlib.aclosing(broadcast.read(reader)) as chunks:
                async for chunk in chunks:
                    yield _Raw.open(chunk)
            return
        joined = broadcast, reader
    call.ended(Found("coalesced", "joined the same stream in flight"))
    async with contextlib.aclosing(joined[0].read(joined[1])) as chunks:
        async for chunk in chunks:
            yield call.item(chunk)
