"""Streams: async and plain generators through the cache.

The first caller gets chunks as they come; others who ask the same join and get all chunks from the start; a
hit replays them. Stored only when the stream ended well: one that fails, or that everybody left, stores nothing.
With ``single_flight="shared"`` one process reads the source; the others wait for the whole answer and replay it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from time import perf_counter
from typing import Any

from semantic_llm_cache.calls import lookup as lookups
from semantic_llm_cache.calls.settings import CallSettings
from semantic_llm_cache.engine.engine import SemanticCache
from semantic_llm_cache.engine.flights import ABANDONED
from semantic_llm_cache.engine.search import Found
from semantic_llm_cache.exceptions import CacheReentryError
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.runtime import background
from semantic_llm_cache.streams.broadcast import BREATH, Broadcast
from semantic_llm_cache.streams.call import SERVED, Call, Codec, close_plain, closing, streams_of

__all__ = ["Codec", "settled", "settled_blocking", "stream", "stream_blocking"]


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
    if not settings.enabled:
        engine.bypassed(request.namespace)
        async for chunk in source():
            yield chunk
        return
    call = Call(engine, request, settings, codec)
    if engine.shadow and not call.only_if_cached:
        async for chunk in _shadow(call, source):
            yield chunk
        return
    place = None if call.only_if_cached else call.streams.join(request.key)
    first = False
    if place is None:
        found = await call.find()
        if found.outcome not in SERVED and await _other_way(call):
            found = await call.find()
        if found.outcome in SERVED:
            if found.outcome == "stale" and not call.only_if_cached:
                call.refresh(lambda: call.kept(source))
            call.ended(found)
            for i, chunk in enumerate(found.value):
                if (i and replay_delay) or i % BREATH == BREATH - 1:
                    await asyncio.sleep(replay_delay or 0)
                yield chunk
            return
        call.may_call(found)
        loop = asyncio.get_running_loop()
        broadcast, reader, first = call.streams.open(request.key, Broadcast(engine.max_response, loop=loop))
        place = broadcast, reader
        if first:
            task = loop.create_task(_produce(call, source, broadcast, found, replay_delay))
            broadcast.on_idle = _canceller(task)
    if not first:
        call.ended(Found("coalesced", "joined the same stream in flight"))
    broadcast, reader = place
    told = not first
    try:
        async with contextlib.aclosing(broadcast.read(reader)) as chunks:
            async for chunk in chunks:
                if not told and broadcast.instead is not None:
                    told = True
                    call.ended(broadcast.instead)
                yield chunk if first else call.rebuilt(chunk)
    except Exception as error:
        if first:
            call.failed(found, error)
        raise
    except GeneratorExit:
        if not told and broadcast.over:  # the reader has all there is and did not wait for the end
            call.ended(found, stored=await asyncio.shield(task))
        raise
    if not told:
        # The last chunk is out; the caller goes on when the answer is stored, as with any other call.
        stored = await asyncio.shield(task)
        call.ended(broadcast.instead or found, stored=stored)


async def _other_way(call: Call) -> bool:
    """Wait for the same request in flight as a whole answer, where one can be told as a stream; True: look again."""
    flights = call.engine.bound()[1].flights
    if call.codec is None or not flights.under_way(call.request.key):
        return False
    request = call.request
    flight, leads = flights.join(request.key, request.scope_hash, request.text, asyncio.get_running_loop())
    if leads:  # it has just ended
        flights.land(flight, ABANDONED)
    else:
        with contextlib.suppress(CacheReentryError):
            await flights.wait(flight)
    return True


async def settled(engine: SemanticCache, key: str) -> None:
    """Wait until a stream of the request with this key has ended and is stored, if one is under way."""
    place = streams_of(engine).join(key)
    if place is None:
        return
    broadcast, reader = place
    with contextlib.suppress(Exception):  # its error is its readers'; here it only means that nothing was stored
        async with contextlib.aclosing(broadcast.read(reader)) as chunks:
            async for _ in chunks:
                pass
        # Shielded: one who goes away must not take the news from the others.
        await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(broadcast.settled)), engine.timeout)


def settled_blocking(engine: SemanticCache, key: str) -> None:
    """`settled` for plain code."""
    place = streams_of(engine).join(key, plain=True)
    if place is None:
        return
    broadcast, reader = place
    with contextlib.suppress(Exception):
        for _ in broadcast.read_blocking(reader):
            pass
        broadcast.settled.result(engine.timeout)


async def _shadow(call: Call, source: Callable[[], AsyncIterator[Any]]) -> AsyncIterator[Any]:
    """Call in any case; note what the cache would have told, and whether that agrees with a stream that ended well."""
    engine, heard = call.engine, Broadcast(call.engine.max_response)
    found = await engine.find(call.request, call.settings)
    began, over = perf_counter(), False
    async with closing(source()) as chunks:
        async for chunk in chunks:
            heard.push(chunk)
            over = call.ends(chunk)
            if over:
                break
            yield chunk
    answer = await call.gathered(heard)
    took = (perf_counter() - began) * 1000
    if answer is not None:
        await engine._shadow_ended(call.request, call.settings, found, answer, took, call.started)
    if over:  # last, as nobody may ask for more
        yield chunk


def _shadow_blocking(call: Call, source: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    engine, heard = call.engine, Broadcast(call.engine.max_response)
    found = background.run(engine.find(call.request, call.settings))
    began, over = perf_counter(), False
    chunks = source()
    try:
        for chunk in chunks:
            heard.push(chunk)
            over = call.ends(chunk)
            if over:
                break
            yield chunk
    finally:
        close_plain(chunks)
    answer = call.answer(heard)
    took = (perf_counter() - began) * 1000
    if answer is not None:
        ended = engine._shadow_ended(call.request, call.settings, found, answer, took, call.started)
        lookups.remember(background.run(ended))
    if over:
        yield chunk


def _canceller(task: asyncio.Task[bool]) -> Callable[[], None]:
    loop = task.get_loop()

    def cancel() -> None:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(task.cancel)

    return cancel


async def _produce(
    call: Call,
    source: Callable[[], AsyncIterator[Any]],
    broadcast: Broadcast,
    found: Found,
    replay_delay: float | None,
) -> bool:
    """Read the function's stream to its end, whoever listens, and store it; True when it was stored.

    Where another process is reading the same stream, what that one has stored is told in its place.
    """
    try:
        return await _read(call, source, broadcast, found, replay_delay)
    finally:
        if found.lease is not None:
            found.lease.release()


async def _replay(chunks: list[Any], delay: float | None) -> AsyncIterator[Any]:
    for i, chunk in enumerate(chunks):
        if i and delay:
            await asyncio.sleep(delay)
        yield chunk


async def _read(
    call: Call,
    source: Callable[[], AsyncIterator[Any]],
    broadcast: Broadcast,
    found: Found,
    replay_delay: float | None,
) -> bool:
    loop = asyncio.get_running_loop()
    room = asyncio.Event()

    def wake() -> None:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(room.set)

    def alive() -> bool:  # a stream that is not kept answers nobody else
        return broadcast.whole and not broadcast.settled.done() and loop.is_running()

    count = 0
    try:
        answer = await call.claim(found, alive)
        broadcast.instead = answer
        began = perf_counter()
        async with closing(source() if answer is None else _replay(answer.value, replay_delay)) as chunks:
            async for chunk in chunks:
                broadcast.over = call.ends(chunk)
                broadcast.push(chunk)
                if broadcast.over:
                    break
                # What came in one piece is handed on as it is taken apart: the first words do not wait for the last.
                count += 1
                if count <= 4 or count % 8 == 0:
                    await asyncio.sleep(0)
                while broadcast.full(wake):
                    await room.wait()
                    room.clear()
    except Exception as error:
        instead = call.stand_in(broadcast, found, error)
        call.streams.close(call.request.key, broadcast)
        broadcast.end(None if instead else error)
        return False
    except BaseException as error:
        call.streams.close(call.request.key, broadcast)
        broadcast.end(error)
        raise
    took = (perf_counter() - began) * 1000
    # Readers may finish while the entry is being written; who asks meanwhile still joins this stream.
    broadcast.end()
    try:
        if answer is not None:
            return False
        return await call.store(broadcast, found, took)
    except Exception as error:
        engine = call.engine
        if engine.on_error == "raise":
            raise
        engine.log_once("stream", f"a stream was not stored: {describe(error)}")
        return False
    finally:
        call.streams.close(call.request.key, broadcast)


class _Pull:
    """A plain generator that several readers read: whoever lacks a chunk fetches the next one."""

    def __init__(
        self,
        call: Call,
        source: Callable[[], Iterator[Any]],
        broadcast: Broadcast,
        found: Found,
        replay_delay: float | None,
    ) -> None:
        self.call = call
        self.source = source
        self.broadcast = broadcast
        self.found = found
        self.replay_delay = replay_delay
        self.lock = threading.Lock()
        self.chunks: Iterator[Any] | None = None
        self.answer: Found | None = None
        self.began = self.last = perf_counter()
        self.stored = self.gone = False
        broadcast.on_idle = self.abandon

    def alive(self) -> bool | None:
        """Tell whether the source is being read: None when no reader has asked for a chunk in a while."""
        if self.broadcast.settled.done() or not self.broadcast.whole:
            return False
        lately = perf_counter() - self.last < self.call.engine.backend.lease_seconds
        return True if self.lock.locked() or lately else None

    def open(self) -> Iterator[Any]:
        """Open the source, or what another process has stored meanwhile."""
        self.answer = self.broadcast.instead = background.run(self.call.claim(self.found, self.alive))
        if self.gone:
            raise GeneratorExit
        self.began = perf_counter()
        return self.source() if self.answer is None else _replay_blocking(self.answer.value, self.replay_delay)

    def next(self, position: Callable[[], bool]) -> None:
        """Fetch one chunk, unless another reader has fetched one meanwhile (`position` tells)."""
        with self.lock:
            if not self.broadcast.done and not position():
                self._fetch()
            self.last = perf_counter()
        if self.gone:
            self.abandon()

    def _fetch(self) -> None:
        try:
            if self.chunks is None:
                self.chunks = self.open()
            chunk = next(self.chunks)
        except StopIteration:
            self.finish()
        except BaseException as error:
            instead = isinstance(error, Exception) and self.call.stand_in(self.broadcast, self.found, error)
            self.call.streams.close(self.call.request.key, self.broadcast)
            self.broadcast.end(None if instead else error)
            self.release()
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
            if self.answer is None:
                self.stored = background.run(call.store(self.broadcast, self.found, took))
        except Exception as error:
            if call.engine.on_error == "raise":
                self.broadcast.end(error)
                return
            call.engine.log_once("stream", f"a stream was not stored: {describe(error)}")
        finally:
            call.streams.close(call.request.key, self.broadcast)
            self.release()
        self.broadcast.end()

    def abandon(self) -> None:
        """All readers have left before the end: nothing is stored."""
        self.gone = True
        self.call.streams.close(self.call.request.key, self.broadcast)
        # A chunk may be being fetched for a task that was cancelled: whoever fetches it sees to the rest.
        if self.lock.acquire(blocking=False):
            try:
                self.broadcast.end(GeneratorExit())
                self.close()
                self.release()
            finally:
                self.lock.release()

    def release(self) -> None:
        """Give back the lease, if there is one."""
        if self.found.lease is not None:
            self.found.lease.release()

    def close(self) -> None:
        """Close the source."""
        if self.chunks is not None:
            close_plain(self.chunks)


def _replay_blocking(chunks: list[Any], delay: float | None) -> Iterator[Any]:
    for i, chunk in enumerate(chunks):
        if i and delay:
            time.sleep(delay)
        yield chunk


def stream_blocking(
    engine: SemanticCache,
    request: Request,
    source: Callable[[], Iterator[Any]],
    settings: CallSettings,
    replay_delay: float | None = None,
    codec: Codec | None = None,
) -> Iterator[Any]:
    """`stream` for plain generators, which run in the threads of those who read them."""
    if not settings.enabled:
        engine.bypassed(request.namespace)
        yield from source()
        return
    call = Call(engine, request, settings, codec)
    if engine.shadow and not call.only_if_cached:
        yield from _shadow_blocking(call, source)
        return
    place = None if call.only_if_cached else call.streams.join(request.key, plain=True)
    first = False
    if place is None:
        found = background.run(call.find())
        if found.outcome not in SERVED and _other_way_blocking(call):
            found = background.run(call.find())
        if found.outcome in SERVED:
            if found.outcome == "stale" and not call.only_if_cached:
                call.refresh(lambda: asyncio.to_thread(call.kept_blocking, source))
            call.ended(found)
            for i, chunk in enumerate(found.value):
                if i and replay_delay:
                    time.sleep(replay_delay)
                yield chunk
            return
        call.may_call(found)
        broadcast = Broadcast(engine.max_response)
        broadcast.pull = _Pull(call, source, broadcast, found, replay_delay)
        broadcast, reader, first = call.streams.open(request.key, broadcast, plain=True)
        place = broadcast, reader
    if not first:
        call.ended(Found("coalesced", "joined the same stream in flight"))
    broadcast, reader = place
    told = not first
    try:
        for chunk in broadcast.read_blocking(reader):
            if not told and broadcast.instead is not None:
                told = True
                call.ended(broadcast.instead)
            yield chunk if first else call.rebuilt(chunk)
    except Exception as error:
        if first:
            call.failed(found, error)
        raise
    except GeneratorExit:
        if not told and broadcast.over:
            call.ended(found, stored=broadcast.pull.stored)
        raise
    if not told:
        call.ended(broadcast.instead or found, stored=broadcast.pull.stored)


def _other_way_blocking(call: Call) -> bool:
    flights = call.engine.bound()[1].flights
    if call.codec is None or not flights.under_way(call.request.key):
        return False
    flight, leads = flights.join(call.request.key, call.request.scope_hash, call.request.text)
    if leads:
        flights.land(flight, ABANDONED)
        return True
    with contextlib.suppress(CacheReentryError):
        return flights.wait_blocking(flight)
    return False
