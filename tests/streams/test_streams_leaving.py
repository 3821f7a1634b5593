"""Callers who leave early: who asks next gets a call of their own, while the one that was left cleans up by itself."""

import asyncio
import contextlib
import gc
import random
import threading
import time
import weakref
from collections.abc import AsyncIterator, Iterator

import pytest
from engine_helpers import gathered, limited, until

from semantic_llm_cache import Request, SemanticCache, last_lookup
from semantic_llm_cache.metrics.learned import clusters_of
from semantic_llm_cache.server.operator.history import History
from semantic_llm_cache.streams.call import streams_of
from semantic_llm_cache.streams.stream import stream, stream_blocking

WHOLE = ["a", "b", "c"]


async def collect(chunks) -> list:
    return [chunk async for chunk in chunks]


class Left:
    """A cached stream whose clean-up ends when it is told to, and how a reader leaves it after the first chunk."""

    def __init__(self, backend="memory://", **options) -> None:
        self.cache = SemanticCache(backend, **options)
        self.calls = 0
        self.open = 0
        self.clean_up = asyncio.Event()

        @self.cache.cache
        async def tell(prompt: str) -> AsyncIterator[str]:
            self.calls += 1
            self.open += 1
            first = self.calls == 1
            try:
                for word in prompt.split():
                    yield word
                    await asyncio.sleep(0.01)
            finally:
                if first:
                    await limited(self.clean_up.wait())
                self.open -= 1

        self.tell = tell

    async def read_until(self, begun: asyncio.Event) -> None:
        async for _ in self.tell("a b c"):
            begun.set()

    async def aclose(self) -> None:
        chunks = self.tell("a b c")
        await anext(chunks)
        await chunks.aclose()

    async def aclosing(self) -> None:
        async with contextlib.aclosing(self.tell("a b c")) as chunks:
            async for _ in chunks:
                break

    async def cancelled_task(self) -> None:
        begun = asyncio.Event()
        task = asyncio.create_task(self.read_until(begun))
        await begun.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def cancelled_in_the_same_tick(self) -> None:
        begun = asyncio.Event()
        task = asyncio.create_task(self.read_until(begun))
        await begun.wait()
        task.cancel()  # it has not heard of it yet when the next caller asks

    async def task_group(self) -> None:
        begun = asyncio.Event()
        with contextlib.suppress(Exception):
            async with asyncio.TaskGroup() as group:
                group.create_task(self.read_until(begun))
                await begun.wait()
                raise OSError("a sibling failed")

    async def timeout(self) -> None:
        chunks = self.tell("a b c")
        await anext(chunks)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(anext(chunks), 0.002)


WAYS = ["aclose", "aclosing", "cancelled_task", "cancelled_in_the_same_tick", "timeout"]
if hasattr(asyncio, "TaskGroup"):
    WAYS.append("task_group")


async def leave_and_ask(way: str, slow: bool, pause: float, backend="memory://", **options) -> tuple:
    left = Left(backend, **options)
    if not slow:
        left.clean_up.set()
    await getattr(left, way)()
    await asyncio.sleep(pause)
    found = await collect(left.tell("a b c"))
    outcome = last_lookup().outcome
    left.clean_up.set()
    await until(lambda: not left.open)
    return found, outcome, left.calls, streams_of(left.cache).live


RIGHT = (WHOLE, "miss", 2, {})


@pytest.mark.parametrize("slow", [True, False], ids=["slow clean-up", "no clean-up"])
async def test_who_asks_for_a_stream_that_all_have_left_gets_one_of_their_own(slow):
    cases = [(way, pause) for way in WAYS for pause in (0.0, 0.005, 0.1)]
    found = await gathered([asyncio.ensure_future(leave_and_ask(way, slow, pause)) for way, pause in cases])
    assert dict(zip(cases, found, strict=True)) == dict.fromkeys(cases, RIGHT)


async def test_nor_do_they_wait_for_the_lease_of_the_stream_that_was_left(tmp_path):
    def ask(way):
        return leave_and_ask(way, True, 0.02, f"sqlite:///{tmp_path}/{way}.db", single_flight="shared")

    found = await gathered([asyncio.ensure_future(ask(way)) for way in WAYS])
    assert dict(zip(WAYS, found, strict=True)) == dict.fromkeys(WAYS, RIGHT)


async def test_who_leaves_a_stale_stream_does_not_stop_its_refresh():
    left = Left(ttl=0.05, stale_while_revalidate=60)
    left.clean_up.set()
    assert await collect(left.tell("a b c")) == WHOLE
    await asyncio.sleep(0.06)
    await left.aclose()
    assert await collect(left.tell("a b c")) == WHOLE
    assert last_lookup().outcome == "stale"
    await until(lambda: left.calls == 2 and not left.open)


async def test_a_source_that_ends_when_told_to_stop_is_not_stored_as_if_it_were_complete():
    calls = 0

    @SemanticCache("memory://").cache
    async def tell(prompt: str) -> AsyncIterator[str]:
        nonlocal calls
        calls += 1
        try:
            for word in prompt.split():
                yield word
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            yield "..."

    chunks = tell("a b c")
    await anext(chunks)
    await asyncio.sleep(0.005)
    await chunks.aclose()
    await asyncio.sleep(0.03)
    assert (await tell.cache_lookup("a b c")).outcome == "miss"
    assert await collect(tell("a b c")) == WHOLE
    assert calls == 2


async def test_only_its_first_caller_hears_that_a_source_was_cancelled():
    calls = 0

    @SemanticCache("memory://").cache
    async def tell(prompt: str) -> AsyncIterator[str]:
        nonlocal calls
        calls += 1
        if calls == 1:
            await asyncio.sleep(0.01)
            raise asyncio.CancelledError
        yield "a"

    tasks = [asyncio.create_task(collect(tell("x"))) for _ in range(4)]
    first, *others = await gathered(tasks)
    assert isinstance(first, asyncio.CancelledError)
    assert others == [["a"]] * 3
    assert calls == 2
    info = tell.cache_info()
    assert (info.misses, info.coalesced_hits) == (1, 2)


async def test_those_who_have_chunks_of_a_cancelled_source_get_an_error_that_says_so():
    @SemanticCache("memory://").cache
    async def tell(prompt: str) -> AsyncIterator[str]:
        yield "a"
        await asyncio.sleep(0.01)
        raise asyncio.CancelledError

    first, *others = await gathered([asyncio.create_task(collect(tell("x"))) for _ in range(3)])
    assert isinstance(first, asyncio.CancelledError)
    assert [type(error) for error in others] == [ConnectionError] * 2
    assert "another call had opened" in str(others[0])


# ------------------------------------------------------------------ plain generators


class Stop(BaseException):
    """Like KeyboardInterrupt, which would end the test."""


class Plain:
    """A plain generator that is slow to clean up in whoever's thread closes it."""

    def __init__(self) -> None:
        self.cache = SemanticCache("memory://")
        self.request = Request("plain", None, "a b c")
        self.calls = 0
        self.closed: list[str] = []
        self.closing, self.clean_up = threading.Event(), threading.Event()

    def source(self) -> Iterator[str]:
        self.calls += 1
        mine = self.calls
        try:
            yield from WHOLE
        finally:
            if mine == 1:
                self.closing.set()
                assert self.clean_up.wait(5)
            self.closed.append(threading.current_thread().name)

    def read(self) -> Iterator[str]:
        return stream_blocking(self.cache, self.request, self.source, self.cache.settings(list[str]))

    def aread(self) -> AsyncIterator[str]:
        async def never() -> AsyncIterator[str]:
            yield "not this one"

        return stream(self.cache, self.request, never, self.cache.settings(list[str]))


def test_a_thread_that_asks_while_another_closes_a_plain_stream_reads_its_own():
    plain = Plain()
    chunks = plain.read()
    assert next(chunks) == "a"
    leaver = threading.Thread(target=chunks.close, daemon=True)
    leaver.start()
    assert plain.closing.wait(5)
    assert list(plain.read()) == WHOLE
    assert len(plain.closed) == 1, "the first is still cleaning up"
    plain.clean_up.set()
    leaver.join(5)
    assert len(plain.closed) == plain.calls == 2


async def test_a_plain_stream_whose_last_reader_is_async_is_closed_off_the_event_loop():
    plain = Plain()
    first = plain.read()
    assert await asyncio.to_thread(next, first) == "a"
    second = plain.aread()
    assert await anext(second) == "a"
    await asyncio.to_thread(first.close)
    await second.aclose()
    assert not plain.closed
    plain.clean_up.set()
    await until(lambda: plain.closed)
    assert plain.closed[0] != threading.main_thread().name


def ends_with_stop(before: list[str]):
    """Return a cached stream whose first call is interrupted after some chunks, and two events."""
    fetching, go, calls = threading.Event(), threading.Event(), []

    @SemanticCache("memory://").cache
    def tell(prompt: str) -> Iterator[str]:
        calls.append(prompt)
        yield from before
        fetching.set()
        assert go.wait(5)
        if len(calls) == 1:
            raise Stop("ctrl-c")
        yield "z"

    return tell, fetching, go


def rest_of(chunks, found: list) -> threading.Thread:
    def read() -> None:
        try:
            found.append(list(chunks))
        except BaseException as error:
            found.append(type(error))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("held", ["streams", "broadcast", "clusters", "history"])
def test_the_garbage_collector_may_close_a_plain_stream_while_its_thread_holds_a_lock(held):
    """It may run wherever an object is made, so also where one of our locks is held."""
    history = History()
    engine = SemanticCache(
        "memory://", similarity=0.9, embedder=lambda text: [1.0, len(text)], on_event=history.record, namespace=held
    )

    @engine.cache
    def tell(prompt: str) -> Iterator[str]:
        yield from WHOLE

    def leave() -> None:
        chunks = tell("x")
        assert next(chunks) == "a"
        (broadcast,) = streams_of(engine).live.values()
        locks = {
            "streams": streams_of(engine).lock,
            "broadcast": broadcast._lock,
            "clusters": clusters_of(held)._lock,
            "history": history._lock,
        }
        cycle: list[object] = [chunks]
        cycle.append(cycle)
        with locks[held]:
            del chunks, cycle
            gc.collect()

    thread = threading.Thread(target=leave, daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    assert not streams_of(engine).live
    assert history.count == 1


class Held:
    """An argument of a stream."""


def cached_streams(**options):
    engine = SemanticCache("memory://", **options)

    @engine.cache(ignore=("held",))
    def tell(prompt: str, held: Held) -> Iterator[str]:
        yield from WHOLE

    @engine.cache(ignore=("held",))
    async def atell(prompt: str, held: Held) -> AsyncIterator[str]:
        for word in WHOLE:
            await asyncio.sleep(0)
            yield word

    return tell, atell


@pytest.mark.parametrize("mode", ["serve", "shadow"])
@pytest.mark.parametrize("leave", ["not", "close", "throw", "drop"])
async def test_what_a_stream_held_is_freed_at_once(mode, leave):
    tell, atell = cached_streams(mode=mode)

    def read() -> weakref.ref[Held]:
        held = Held()
        chunks = tell("x", held)
        with contextlib.suppress(ValueError):
            next(chunks)
            if leave == "not":
                list(chunks)
            elif leave == "close":
                chunks.close()
            elif leave == "throw":
                chunks.throw(ValueError())
        return weakref.ref(held)

    async def aread() -> weakref.ref[Held]:
        held = Held()
        chunks = atell("x", held)
        with contextlib.suppress(ValueError):
            await anext(chunks)
            if leave == "not":
                await collect(chunks)
            elif leave == "close":
                await chunks.aclose()
            elif leave == "throw":
                await chunks.athrow(ValueError())
        return weakref.ref(held)

    gc.collect()
    gc.disable()
    try:
        assert read()() is None
        held = await aread()
        await until(lambda: held() is None)
    finally:
        gc.enable()


def test_what_interrupts_the_clean_up_of_a_plain_source_reaches_who_closes_it():
    @SemanticCache("memory://").cache
    def tell(prompt: str) -> Iterator[str]:
        try:
            yield "a"
        finally:
            raise Stop("ctrl-c")

    chunks = tell("x")
    assert next(chunks) == "a"
    with pytest.raises(Stop):
        chunks.close()


def test_what_interrupts_the_thread_that_reads_a_plain_source_is_raised_there_alone():
    tell, fetching, go = ends_with_stop(["a"])
    first, second = tell("x"), tell("x")
    assert next(first) == next(second) == "a"
    found: list[object] = []
    reader = rest_of(second, found)  # not the one that opened it
    assert fetching.wait(5)
    go.set()
    reader.join(5)
    assert found == [Stop]
    with pytest.raises(ConnectionError, match="Stop"):
        next(first)


def test_who_had_no_chunk_yet_of_a_plain_source_that_was_interrupted_starts_again():
    tell, fetching, go = ends_with_stop([])
    found: list[object] = []
    first = rest_of(tell("x"), found)
    assert fetching.wait(5)
    second = rest_of(tell("x"), found)
    time.sleep(0.02)
    go.set()
    first.join(5)
    second.join(5)
    assert sorted(found, key=str) == [Stop, ["z"]]


# ------------------------------------------------------------------ a storm


async def storm(kind: str, cleanup: float, callers: int) -> None:
    """Many calls for a few prompts, about half of which leave early, each in some way at some moment."""
    draw = random.Random(f"{kind} {cleanup}")
    engine = SemanticCache("memory://")
    open_ = 0

    @contextlib.asynccontextmanager
    async def cleaned():
        nonlocal open_
        open_ += 1
        try:
            yield
        finally:
            try:
                await asyncio.sleep(cleanup)
            finally:
                open_ -= 1

    @engine.cache
    async def tell(prompt: str) -> AsyncIterator[str]:
        async with cleaned():
            for n in range(4):
                await asyncio.sleep(0.005)
                yield f"{prompt}{n}"

    @engine.cache
    async def ask(prompt: str) -> list[str]:
        async with cleaned():
            await asyncio.sleep(0.02)
            return [f"{prompt}{n}" for n in range(4)]

    async def whole(prompt: str) -> list[str]:
        return await collect(tell(prompt)) if kind == "stream" else await ask(prompt)

    async def leave(prompt: str, how: int, after: float) -> None:
        if kind == "stream" and how == 0:
            chunks = tell(prompt)
            for _ in range(draw.randrange(3)):
                await anext(chunks, None)
            await chunks.aclose()
            return
        task = asyncio.create_task(whole(prompt))
        await asyncio.sleep(after)
        task.cancel()
        if how == 1:
            await asyncio.wait([task])

    async def call(prompt: str) -> bool:
        await asyncio.sleep(draw.random() * 0.6)
        if draw.random() < 0.47:
            await leave(prompt, draw.randrange(3), draw.random() * 0.025)
            return True
        return await whole(prompt) == [f"{prompt}{n}" for n in range(4)]

    tasks = [asyncio.create_task(call(f"{kind}{draw.randrange(callers // 15)} ")) for _ in range(callers)]
    assert await gathered(tasks) == [True] * callers
    await until(lambda: not open_)
    flights = engine.bound()[1].flights
    assert (streams_of(engine).live, flights._by_key, flights._calling) == ({}, {}, {})


SIZES = {"stream": 600, "whole": 100}


async def test_in_a_storm_of_600_calls_nobody_pays_for_those_who_leave():
    before = asyncio.all_tasks()
    cases = [(kind, cleanup, count) for kind, count in SIZES.items() for cleanup in (0.3, 0.05, 0.0)]
    await limited(asyncio.gather(*(storm(*case) for case in cases)))
    await until(lambda: asyncio.all_tasks() == before)
