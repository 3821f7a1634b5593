"""What one caller's way through a stream is made of: finding, keeping, and the streams under way."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import InvalidStateError
from dataclasses import replace
from time import perf_counter
from typing import Any, Protocol, get_args

from semantic_llm_cache.calls.control import NOT_CACHED
from semantic_llm_cache.calls.settings import CallSettings
from semantic_llm_cache.engine.engine import SemanticCache
from semantic_llm_cache.engine.search import Found
from semantic_llm_cache.exceptions import CacheNotFoundError
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.streams.broadcast import Broadcast, Reader
from semantic_llm_cache.values.offload import is_large, off_loop
from semantic_llm_cache.values.rebuilding import rebuild

__all__ = ["SERVED", "Call", "Codec", "Streams", "close_plain", "closing", "streams_of"]

SERVED = ("exact", "near", "stale")
"""Outcomes with an answer from the cache."""


class Codec(Protocol):
    """How a door keeps its streams: what of them is stored, and which chunk is the last."""

    def chunks(self, value: Any) -> list[Any] | None:
        """Return the chunks of a stored answer; None when it cannot be told as a stream, which is a miss."""

    def value(self, chunks: list[Any]) -> Any:
        """Return what to store of a stream that has ended; None when it must not be stored."""

    def ends(self, chunk: Any) -> bool:
        """Tell whether no chunk of meaning follows: the stream is then stored, even if its reader goes away."""


class Streams:
    """The broadcasts under way on one backend, by key."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.live: dict[str, Broadcast] = {}

    def join(self, key: str, plain: bool = False) -> tuple[Broadcast, Reader] | None:
        """Return a live broadcast of `key` and a place in it, if there is one to be had."""
        if key not in self.live:
            return None
        with self.lock:
            broadcast = self.live.get(key)
            reader = None if broadcast is None else broadcast.join(plain)
        return None if broadcast is None or reader is None else (broadcast, reader)

    def open(self, key: str, broadcast: Broadcast, plain: bool = False) -> tuple[Broadcast, Reader, bool]:
        """Return a place in the live broadcast of `key`, or in `broadcast`, which is live then (True)."""
        with self.lock:
            other = self.live.get(key)
            reader = None if other is None else other.join(plain)
            if other is not None and reader is not None:
                return other, reader, False
            self.live[key] = broadcast
        reader = broadcast.join()  # a place in one's own stream is always to be had
        assert reader is not None
        return broadcast, reader, True

    def close(self, key: str, broadcast: Broadcast) -> None:
        """Say that a broadcast is over: nobody joins it any more, and it has been stored or will not be."""
        with self.lock:
            if self.live.get(key) is broadcast:
                del self.live[key]
        with contextlib.suppress(InvalidStateError):
            broadcast.settled.set_result(None)


def streams_of(engine: SemanticCache) -> Streams:
    """Return the broadcasts under way on the backend that an engine uses now."""
    state = engine.bound()[1]
    if state.streams is None:
        state.streams = Streams()
    found: Streams = state.streams
    return found


class Call:
    """One caller's way through a stream."""

    def __init__(
        self, engine: SemanticCache, request: Request, settings: CallSettings, codec: Codec | None = None
    ) -> None:
        self.engine = engine
        self.codec = codec
        self.request = request
        self.settings = settings
        self.streams = streams_of(engine)
        self.started = perf_counter()

    def rebuilt(self, chunk: Any) -> Any:
        """Return a chunk as an instance of the type that the function's annotation names."""
        if self.codec is not None:
            return chunk
        kinds = get_args(self.settings.target)
        return rebuild(chunk, kinds[0] if kinds else Any)

    async def find(self) -> Found:
        """Return what the cache holds; the value of a hit is its chunks.

        A stale answer is one to serve while a fresh one is fetched, or the `fallback` of a miss.
        """
        found = await self.told(await self.engine.find(self.request, self.settings))
        if found.outcome == "stale" and not self.engine._refreshable(found):
            fresh = await self.engine.find(self.request, self.settings, exact=False)
            found = replace(await self.told(fresh), fallback=found)
        return found

    def may_call(self, found: Found) -> None:
        """Raise CacheNotFoundError where only what is in the cache was asked for."""
        if self.only_if_cached:
            self.ended(found)
            raise CacheNotFoundError(f"{NOT_CACHED}: {found.reason}")

    @property
    def only_if_cached(self) -> bool:
        """Whether the call must not reach the source."""
        control = self.settings.control
        return control is not None and control.only_if_cached

    async def told(self, found: Found) -> Found:
        """Make the value of a hit its chunks; an answer that cannot be told as a stream is a miss."""
        if found.outcome in SERVED and not await self.split(found):
            found.outcome, found.reason, found.value = "miss", "the stored answer is no stream", None
        return found

    async def split(self, found: Found) -> bool:
        """Make the value of an answer its chunks; False when it cannot be told as a stream."""
        if self.codec is not None:
            cut, value = self.codec.chunks, found.value
            found.value = await off_loop(cut, value) if is_large(value) else cut(value)
        return isinstance(found.value, list)

    async def claim(self, found: Found, alive: Callable[[], bool | None]) -> Found | None:
        """Agree with other processes who opens the source: see `Leasing.claim`. The answer's value is its chunks."""
        engine = self.engine
        if not engine._leases(self.settings, found):
            return None

        async def look() -> Found | None:
            answer = await engine.answered(self.request, self.settings)
            return answer if answer is not None and await self.split(answer) else None

        return await engine.claim(engine.bound()[1], self.request, found, alive, look)

    def refresh(self, fetch: Callable[[], Any]) -> None:
        """Have a fresh answer fetched after the caller has gone on with the stale one."""
        self.engine._refresh(self.engine.bound()[1], self.request, fetch, self.settings)

    def stand_in(self, broadcast: Broadcast, found: Found, error: Exception) -> bool:
        """Tell the stale answer in place of an error that came before the first chunk, where that is allowed."""
        outcome = None if broadcast.begun else self.engine._instead(found, self.settings, error)
        if outcome is None:
            return False
        broadcast.instead = outcome.found
        for chunk in outcome.original:
            broadcast.push(chunk)
        return True

    def ended(self, found: Found, *, stored: bool = False) -> None:
        """Count a call that has ended."""
        joined = found.entry if found.outcome == "coalesced" else None
        cost = 0.0 if joined is None else joined.cost_usd
        self.engine._finish(self.request, self.settings, found, self.started, cost=cost, stored=stored)

    def ends(self, chunk: Any) -> bool:
        """Tell whether no chunk of meaning follows."""
        return self.codec is not None and self.codec.ends(chunk)

    def failed(self, found: Found, error: BaseException) -> None:
        """Count a call that raised."""
        self.engine._finish_failed(self.request, self.settings, found, self.started, error)

    async def store(self, broadcast: Broadcast, found: Found, duration_ms: float) -> bool:
        """Keep a stream that has ended well."""
        answer = await self.gathered(broadcast)
        if answer is None:
            return False
        return (await self.engine.admit(self.request, self.settings, answer, found, duration_ms)).stored

    async def gathered(self, broadcast: Broadcast) -> Any:
        """`answer`, in a thread where there is much of it."""
        return await off_loop(self.answer, broadcast) if broadcast.large else self.answer(broadcast)

    def answer(self, broadcast: Broadcast) -> Any:
        """Return what is to be kept of a stream that has ended well; None when that is nothing."""
        if not broadcast.whole:
            if broadcast.unstorable:
                self.engine._warn(f"a stream is returned uncached: {broadcast.unstorable}")
            return None
        if self.codec is not None:
            return self.codec.value(broadcast.chunks())
        return rebuild(broadcast.chunks(), self.settings.target)

    async def kept(self, source: Callable[[], AsyncIterator[Any]]) -> Any:
        """Read a stream that nobody listens to, and return what is to be kept of it. ValueError: nothing."""
        heard = Broadcast(self.engine.max_response)
        async with closing(source()) as chunks:
            async for chunk in chunks:
                heard.push(chunk)
                if self.ends(chunk) or not heard.whole:
                    break
        answer = await self.gathered(heard)
        if answer is None:
            raise ValueError("the stream is not to be kept")
        return answer

    def kept_blocking(self, source: Callable[[], Iterator[Any]]) -> Any:
        """`kept` for plain code."""
        heard = Broadcast(self.engine.max_response)
        chunks = source()
        try:
            for chunk in chunks:
                heard.push(chunk)
                if self.ends(chunk) or not heard.whole:
                    break
        finally:
            close_plain(chunks)
        answer = self.answer(heard)
        if answer is None:
            raise ValueError("the stream is not to be kept")
        return answer


@contextlib.asynccontextmanager
async def closing(chunks: AsyncIterator[Any]) -> AsyncIterator[AsyncIterator[Any]]:
    """Close an iterator at the end, if it is of a kind that can be closed."""
    try:
        yield chunks
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()


def close_plain(chunks: Iterator[Any]) -> None:
    """Close an iterator, if it is of a kind that can be closed."""
    close = getattr(chunks, "close", None)
    if close is not None:
        close()
