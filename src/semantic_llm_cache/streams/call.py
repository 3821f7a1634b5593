"""One caller's call for a stream: finding and storing it, and the streams under way."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import InvalidStateError
from typing import Any, Protocol, get_args

from semantic_llm_cache.calls.control import NOT_CACHED
from semantic_llm_cache.calls.refusals import NotStored, because
from semantic_llm_cache.engine.call import Call
from semantic_llm_cache.engine.driving import Do, Steps, drive, drive_blocking
from semantic_llm_cache.engine.engine import Engine
from semantic_llm_cache.engine.outcome import NOTHING_USED, Failure, Found, Used
from semantic_llm_cache.exceptions import CacheNotFoundError
from semantic_llm_cache.streams.broadcast import Broadcast, Reader
from semantic_llm_cache.streams.steps import END, Close, Next, Source
from semantic_llm_cache.values.annotations import meaning
from semantic_llm_cache.values.offload import is_large, off_loop
from semantic_llm_cache.values.rebuilding import rebuild

__all__ = ["SERVED", "Codec", "StreamCall", "Streams", "streams_of"]

SERVED = ("exact", "near", "stale")
"""Outcomes with an answer from the cache."""


class Codec(Protocol):
    """How a door stores its streams, and which chunk is the last."""

    def chunks(self, value: Any) -> list[Any] | None:
        """Return the chunks of a stored answer, or None (a miss) if it cannot be given as a stream."""

    def value(self, chunks: list[Any]) -> Any:
        """Return what to store of a finished stream. Raises NotStored if it must not be stored."""

    def ends(self, chunk: Any) -> bool:
        """Return whether no meaningful chunk follows: the stream is then stored even if its reader leaves."""


class Streams:
    """The broadcasts under way on one backend, by key."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # reentrant: the garbage collector may close a plain stream meanwhile
        self.live: dict[str, Broadcast] = {}

    def join(self, key: str, plain: bool = False) -> tuple[Broadcast, Reader] | None:
        """Return a live broadcast of `key` and a place in it, if there is one."""
        if key not in self.live:
            return None
        with self.lock:
            broadcast = self.live.get(key)
            reader = None if broadcast is None else broadcast.join(plain)
        return None if broadcast is None or reader is None else (broadcast, reader)

    def open(self, key: str, broadcast: Broadcast, plain: bool = False) -> tuple[Broadcast, Reader, bool]:
        """Return the live broadcast of `key`, a place in it, and False; or `broadcast`, now live, a place, and True."""
        with self.lock:
            other = self.live.get(key)
            reader = None if other is None else other.join(plain)
            if other is not None and reader is not None:
                return other, reader, False
            # Before others see it: one who joined first and left would end the stream.
            reader = broadcast.join(plain)
            assert reader is not None  # there is always a place in one's own stream
            self.live[key] = broadcast
        return broadcast, reader, True

    def withdraw(self, labels: frozenset[str]) -> None:
        """Let nobody join a stream whose answer gets any of these labels. Its readers get the rest of it."""
        with self.lock:
            for key in [key for key, each in self.live.items() if not labels.isdisjoint(each.labels)]:
                del self.live[key]

    def close(self, key: str, broadcast: Broadcast, stored: bool = False, error: Exception | None = None) -> None:
        """End a broadcast: no more readers join it.

        Args:
            key: the key of its request.
            broadcast: the broadcast that has ended.
            stored: whether its answer is now in the cache.
            error: the error raised when storing it.
        """
        with self.lock:
            if self.live.get(key) is broadcast:
                del self.live[key]
        with contextlib.suppress(InvalidStateError):
            if error is None:
                broadcast.settled.set_result(stored)
            else:
                broadcast.settled.set_exception(error)


def streams_of(engine: Engine) -> Streams:
    """Return the broadcasts under way on the backend that an engine currently uses."""
    return engine.bound()[1].part(Streams)


class StreamCall:
    """One caller's call for a stream.

    Args:
        engine: the cache.
        call: what is asked; its function is not used.
        codec: says how to store the stream; None stores the list of its chunks.
    """

    def __init__(self, engine: Engine, call: Call, codec: Codec | None = None) -> None:
        engine.categories.apply(call)
        self.engine = engine
        self.call = call
        self.codec = codec
        self.key = ""
        self.streams = streams_of(engine)

    async def resolve(self) -> None:
        """Ask for the versions of what the answer rests on, and set the key under which calls share one stream."""
        await self.engine.grounds.resolve(self.call)
        self.key = self.call.flight_key

    @property
    def may_call(self) -> bool:
        """Whether the call may reach the source."""
        return self.call.settings.asks.may_call

    def running_loop(self) -> asyncio.AbstractEventLoop | None:
        """Return the event loop that runs the call, or None for plain code."""
        return None if self.call.plain else asyncio.get_running_loop()

    def broadcast(self) -> Broadcast:
        """Return a new broadcast, limited to the longest answer that may be stored."""
        made = Broadcast(self.engine.options.max_response, self.running_loop())
        made.labels = self.call.labels
        return made

    # ------------------------------------------------------------------------------ finding

    async def find(self) -> Found:
        """Return what the cache holds; the value of a hit is its chunks.

        A stale answer is one to serve while a fresh one is fetched, or the `fallback` of a miss.
        """
        search, freshness = self.engine.search, self.engine.freshness
        found = await self._in_chunks(await search.find(self.call))
        if found.outcome != "stale" or freshness.may_serve(found):
            return found
        fresh = await self._in_chunks(await search.find(self.call, exact=False))
        fresh.fallback = found
        return fresh

    async def _in_chunks(self, found: Found) -> Found:
        """Replace the value of a hit with its chunks; an answer that cannot be given as a stream is a miss."""
        if found.outcome in SERVED and not await self._split(found):
            found.outcome, found.reason, found.value = "miss", "the stored answer is no stream", None
        return found

    async def _split(self, found: Found) -> bool:
        """Replace the value of an answer with its chunks; return False if it cannot be given as a stream."""
        if self.codec is not None:
            cut, value = self.codec.chunks, found.value
            found.value = await off_loop(cut, value) if is_large(value) else cut(value)
        return isinstance(found.value, list)

    def refuse_call(self) -> None:
        """Count a call that must not reach the source, and raise CacheNotFoundError."""
        self.ended(self.call.found)
        raise CacheNotFoundError(f"{NOT_CACHED}: {self.call.found.reason}")

    def rebuilt(self, chunk: Any) -> Any:
        """Return a chunk as an instance of the type that the function's annotation names."""
        if self.codec is not None:
            return chunk
        kinds = get_args(meaning(self.call.settings.target))
        return rebuild(chunk, kinds[0] if kinds else Any)

    # ------------------------------------------------------------------------------ other processes, stale answers

    async def claim(self, alive: Callable[[], bool | None]) -> Found | None:
        """Agree with other processes on who opens the source: see `Leases.claim`. An answer's value is its chunks."""
        engine = self.engine
        if not engine.leases.needed(self.call):
            return None

        async def look() -> Found | None:
            answer = await engine.search.answered(self.call)
            return answer if answer is not None and await self._split(answer) else None

        return await engine.leases.claim(self.call, alive, look)

    def refresh(self, source: Callable[[], Any]) -> None:
        """Start fetching a fresh answer in the background."""

        def read() -> Awaitable[Any]:
            return drive(self._read_to_keep(source))

        def read_blocking() -> Any:
            return drive_blocking(self._read_to_keep(source))

        function: Callable[[], Any] = read_blocking if self.call.plain else read
        self.engine.freshness.refresh(self.call.again(function))

    def _read_to_keep(self, open: Callable[[], Any]) -> Steps:
        """Read a stream without readers, and return what to store of it. Raises NotStored if there is nothing."""
        heard, source = self.broadcast(), Source(open)
        try:
            while heard.whole:
                chunk = yield Next(source)
                if chunk is END:
                    break
                if type(chunk) is Failure:
                    return chunk
                heard.push(chunk)
                if self.ends(chunk):
                    break
        finally:
            yield Close(source)
        return (yield Do(lambda: self.gathered(heard), waits=False))

    def may_stand_in(self, broadcast: Broadcast, error: BaseException) -> bool:
        """Return whether a stale answer may be given instead of an error: no chunk was given, and there is one."""
        return not broadcast.begun and self.engine.freshness.may_stand_in(self.call, error)

    async def stand_in(self, broadcast: Broadcast, error: BaseException) -> bool:
        """Give a stale answer instead of an error, if that is allowed."""
        stale = await self.engine.freshness.in_place_of(self.call, error)
        if stale is None or not (stale is self.call.found.fallback or await self._split(stale)):
            return False
        broadcast.instead = stale
        for chunk in stale.value:
            broadcast.push(chunk)
        return True

    # ------------------------------------------------------------------------------ the end

    def ends(self, chunk: Any) -> bool:
        """Return whether no meaningful chunk follows."""
        return self.codec is not None and self.codec.ends(chunk)

    async def gathered(self, broadcast: Broadcast) -> Any:
        """Return what to store of a stream that succeeded. Raises NotStored if there is nothing."""
        return await off_loop(self._answer, broadcast) if broadcast.large else self._answer(broadcast)

    def _answer(self, broadcast: Broadcast) -> Any:
        if not broadcast.whole:
            if broadcast.unstorable:
                text = f"a stream is returned uncached: {broadcast.unstorable}"
                self.engine.notices.warn_once("unstorable", text, self.call.settings.returned)
                raise NotStored(because("unserialisable", broadcast.unstorable))
            most = self.engine.options.max_response
            raise NotStored(because("too-large", f"answers of more than {most} characters are not stored"))
        if self.codec is not None:
            return self.codec.value(broadcast.chunks())
        return rebuild(broadcast.chunks(), self.call.settings.target)

    async def store(self, broadcast: Broadcast, duration_ms: float) -> bool:
        """Store a stream that succeeded; return True if it was stored."""
        try:
            answer = await self.gathered(broadcast)
        except NotStored as refusal:
            broadcast.refused = refusal.reason
            return False
        admission = self.engine.admission
        outcome = await admission.admit(self.call, await admission.weigh(self.call, answer, duration_ms))
        broadcast.refused = outcome.refused
        return outcome.stored

    def ended(self, found: Found, *, stored: bool = False, refused: str = "") -> None:
        """Count a finished call."""
        joined = found.entry if found.outcome == "coalesced" else None
        saved = NOTHING_USED if joined is None else Used.of(joined)
        self.engine.reporter.finish(self.call, found, saved=saved, stored=stored, refused=refused)

    def failed(self, found: Found, error: BaseException) -> None:
        """Count a call that raised."""
        self.engine.reporter.finish_failed(self.call, found, error)
