"""Streams: async and plain generators through the cache.

The first caller gets chunks as they arrive; others who ask the same join and get all chunks from the start; a
hit replays them. A stream is stored only if it succeeded: one that fails, or that all readers left, is not stored.
With ``single_flight="shared"`` one process reads the source; the others wait for the whole answer and replay it.

`answer` is the logic shared by async and plain streams; `stream` runs it on an event loop, and `stream_blocking` in
the threads of the readers.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from time import perf_counter
from typing import Any

from semantic_llm_cache.calls.lookup import forget
from semantic_llm_cache.calls.refusals import NotStored, because
from semantic_llm_cache.calls.settings import CallSettings
from semantic_llm_cache.engine.call import Call
from semantic_llm_cache.engine.driving import Do, Left, Steps, Wait, drive, drive_blocking
from semantic_llm_cache.engine.engine import Engine
from semantic_llm_cache.engine.flights import ABANDONED
from semantic_llm_cache.engine.listening import watched
from semantic_llm_cache.engine.outcome import AGAIN, Failure, Found
from semantic_llm_cache.engine.variables import set_here
from semantic_llm_cache.exceptions import CacheReentryError
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.streams.broadcast import BREATH, Broadcast, Reader
from semantic_llm_cache.streams.call import SERVED, Codec, StreamCall, streams_of
from semantic_llm_cache.streams.driving import streamed, streamed_blocking
from semantic_llm_cache.streams.production import Production
from semantic_llm_cache.streams.steps import END, Close, Give, Next, Pause, Settled, Source

__all__ = ["Codec", "answer", "settled", "settled_blocking", "settling", "stream", "stream_blocking"]

Open = Callable[[], Any]


def stream(
    engine: Engine,
    request: Request,
    source: Callable[[], AsyncIterator[Any]],
    settings: CallSettings,
    replay_delay: float | None = None,
    codec: Codec | None = None,
) -> AsyncGenerator[Any, None]:
    """Yield the answer to `request` chunk by chunk: from the cache, a stream under way, or `source`.

    Args:
        engine: the cache.
        request: what is asked.
        source: opens the function's own stream.
        settings: the settings of the call; `target` is the type of a list of chunks.
        replay_delay: seconds between the chunks of a hit; None replays at once.
        codec: says how to store the stream; None stores the list of its chunks.
    """

    def made() -> StreamCall:
        return StreamCall(engine, Call(engine.redacted(request), settings), codec)

    return streamed(_answering(made, source, replay_delay))


def stream_blocking(
    engine: Engine,
    request: Request,
    source: Callable[[], Iterator[Any]],
    settings: CallSettings,
    replay_delay: float | None = None,
    codec: Codec | None = None,
) -> Generator[Any, None, None]:
    """Do the same as `stream`, for plain generators."""

    def made() -> StreamCall:
        return StreamCall(engine, Call(engine.redacted(request), settings, plain=True), codec)

    return streamed_blocking(_answering(made, source, replay_delay))


# -------------------------------------------------------------------------------------- steps


def _answering(made: Callable[[], StreamCall], source: Open, replay_delay: float | None) -> Steps:
    """Make the call when its first chunk is asked for, and answer it."""
    return (yield from answer(made(), source, replay_delay))


def answer(call: StreamCall, source: Open, replay_delay: float | None) -> Steps:
    """Give the answer to a call chunk by chunk."""
    forget()
    watch = call.engine.hook.begin(call.call)
    steps = _answer(call, source, replay_delay)
    return (yield from (steps if watch is None else watched(steps, watch)))


def _answer(call: StreamCall, source: Open, replay_delay: float | None) -> Steps:
    if not call.call.settings.enabled:
        call.engine.reporter.bypassed_by(call.call)
        return (yield from _relay(source))
    if call.engine.shadow is not None and call.may_call:
        return (yield from _shadow(call, source))
    if call.call.settings.evidence is None:
        call.key = call.call.flight_key
    else:
        yield Do(call.resolve)
    given = AGAIN
    while given is AGAIN:
        given = yield from _join_or_lead(call, source, replay_delay)
    return given


def _join_or_lead(call: StreamCall, source: Open, replay_delay: float | None) -> Steps:
    place = call.streams.join(call.key, call.call.plain) if call.may_call else None
    if place is not None:
        return (yield from _follow(call, *place))
    found = yield Do(call.find)
    if found.outcome not in SERVED and (yield from _wait_for_whole(call)):
        found = yield Do(call.find)
    if found.outcome in SERVED:
        return (yield from _replay(call, source, replay_delay))
    if not call.may_call:
        call.refuse_call()
    production = Production(call, source, replay_delay)
    broadcast, reader, first = call.streams.open(call.key, production.broadcast, call.call.plain)
    if not first:
        return (yield from _follow(call, broadcast, reader))
    production.start()
    return (yield from _lead(call, broadcast, reader))


def _relay(open: Open) -> Steps:
    """Pass a source through unchanged."""
    source = Source(open)
    following = Next(source)
    try:
        while True:
            chunk = yield following
            if chunk is END:
                return None
            if type(chunk) is Failure:
                return chunk
            yield Give((chunk,))
    finally:
        yield Close(source)


def _replay(call: StreamCall, source: Open, delay: float | None) -> Steps:
    """Give the chunks of a hit."""
    found = call.call.found
    if found.outcome == "stale" and call.may_call:
        call.refresh(source)
    call.ended(found)
    chunks = found.value
    size = 1 if delay else BREATH
    for i in range(0, len(chunks), size):
        if i:
            yield Pause(delay or 0)
        yield Give(chunks[i : i + size])


def _follow(call: StreamCall, broadcast: Broadcast, reader: Reader) -> Steps:
    """Give the chunks of another caller's stream; `AGAIN` if it was interrupted before the first one."""
    begun = False
    try:
        while True:
            chunk = yield from broadcast.next(reader)
            if chunk is AGAIN:
                return AGAIN
            if not begun:
                begun = True
                call.ended(Found("coalesced", "joined the same stream in flight"))
            if chunk is END:
                return None
            if type(chunk) is Failure:
                return chunk
            yield Give((call.rebuilt(chunk),))
    finally:
        broadcast.leave(reader)


def _lead(call: StreamCall, broadcast: Broadcast, reader: Reader) -> Steps:
    """Give the chunks of this caller's own stream, the function's own objects; `AGAIN` as in `_follow`."""
    counted = False
    try:
        while True:
            chunk = yield from broadcast.next(reader)
            if chunk is AGAIN:
                return AGAIN
            if chunk is END or type(chunk) is Failure:
                set_here(call.call.changes)
            if chunk is END:
                break
            if type(chunk) is Failure:
                call.failed(call.call.found, chunk.error)
                return chunk
            if not counted and broadcast.instead is not None:
                counted = True
                call.ended(broadcast.instead)
            yield Give((chunk,))
    except Left:
        if not counted and broadcast.over:  # the reader has every chunk and did not wait for the end
            stored = yield Settled(broadcast.settled)
            call.ended(call.call.found, stored=stored, refused=broadcast.refused)
        raise
    finally:
        running = not broadcast.done
        broadcast.leave(reader)
        if running and broadcast.gone and not counted:  # this reader was the last one
            counted = True
            call.ended(call.call.found, refused=because("left"))
    if not counted:
        # As with any other call, the caller continues once the answer is stored.
        try:
            stored = yield Settled(broadcast.settled)
        except Exception as error:
            call.failed(Found("error", ""), error)
            raise
        call.ended(broadcast.instead or call.call.found, stored=stored, refused=broadcast.refused)
    return None


def _shadow(call: StreamCall, open: Open) -> Steps:
    """Always call; record what the cache would have given, and whether that agrees with a stream that succeeded."""
    engine, heard, source = call.engine, call.broadcast(), Source(open)
    assert engine.shadow is not None
    yield Do(lambda: engine.search.find(call.call))
    watch, began, over = call.call.watch, perf_counter(), False
    if watch is not None:
        watch.mark()
    try:
        while not over:
            chunk = yield Next(source)
            if chunk is END:
                break
            if type(chunk) is Failure:
                return chunk
            heard.push(chunk)
            over = call.ends(chunk)
            if not over:
                yield Give((chunk,))
    except Left:
        engine.notices.refused(because("left"))
        raise
    finally:
        yield Close(source)
    took = (perf_counter() - began) * 1000
    if watch is not None:
        watch.mark("call")
    try:
        whole = yield Do(lambda: call.gathered(heard), waits=False)
    except NotStored as refusal:
        engine.notices.refused(refusal.reason)
    else:
        yield from engine.shadow.compare(call.call, whole, took)
    if over:  # last, since the caller may not ask for more
        yield Give((chunk,))
    return None


def _wait_for_whole(call: StreamCall) -> Steps:
    """Wait for a whole-answer call of the same request, if its answer can be streamed; True means look again."""
    flights, request = call.engine.bound()[1].flights, call.call.request
    if call.codec is None or not flights.under_way(call.key):
        return False
    flight, leads = flights.join(call.key, call.call.flight_scope, request.text, call.running_loop(), call.call.labels)
    if leads:  # it has just ended
        flights.land(flight, ABANDONED)
        return True
    with contextlib.suppress(CacheReentryError):
        return (yield Wait(flights, flight))
    return True


# -------------------------------------------------------------------------------------- streams under way


async def settled(engine: Engine, call: Call) -> None:
    """Wait until a stream of the same call has ended and is stored, if one is under way."""
    await drive(settling(engine, call))


def settled_blocking(engine: Engine, call: Call) -> None:
    """Do the same as `settled`, for plain code."""
    drive_blocking(settling(engine, call))


def settling(engine: Engine, call: Call) -> Steps:
    """The steps of `settled`."""
    if call.settings.evidence is not None:
        yield Do(lambda: engine.grounds.resolve(call))
    place = None
    with contextlib.suppress(CacheReentryError):  # the stream's own source asks: both run
        place = streams_of(engine).join(call.flight_key, call.plain)
    if place is None:
        return
    broadcast, reader = place
    try:
        chunk = None
        while chunk is not END:
            chunk = yield from broadcast.next(reader)
            if chunk is AGAIN or type(chunk) is Failure:  # its readers raise it; here: nothing was stored
                return
        with contextlib.suppress(Exception):
            yield Settled(broadcast.settled, engine.timeout)
    finally:
        broadcast.leave(reader)
