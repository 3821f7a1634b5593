"""Streams past their time, in shadow mode, and read from plain and async code at once."""

import asyncio
import contextlib
import inspect
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from semantic_llm_cache import Request, SemanticCache, get_stats, last_lookup
from semantic_llm_cache.streams.call import streams_of
from semantic_llm_cache.streams.stream import stream, stream_blocking


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Model:
    """Streams its prompt's words with the number of the call; `fail` says after how many words it breaks off."""

    def __init__(self, **options) -> None:
        self.calls = 0
        self.fail: int | None = None
        self.clock = Clock()
        self.cache = SemanticCache("memory://", ttl=10, clock=self.clock, **options)

        @self.cache.cache
        async def tell(prompt: str) -> AsyncIterator[str]:
            self.calls += 1
            for i, word in enumerate(prompt.split()):
                if i == self.fail:
                    raise OSError("upstream died")
                yield f"{word}{self.calls}"

        @self.cache.cache
        def tell_plainly(prompt: str) -> Iterator[str]:
            self.calls += 1
            for i, word in enumerate(prompt.split()):
                if i == self.fail:
                    raise OSError("upstream died")
                yield f"{word}{self.calls}"

        self.tell, self.tell_plainly = tell, tell_plainly

    async def ask(self, plain: bool, prompt: str = "a b") -> tuple[list[str], str]:
        if plain:
            return await asyncio.to_thread(self._ask_plainly, prompt)
        found = [chunk async for chunk in self.tell(prompt)]
        return found, last_lookup().outcome

    async def stored_at(self, then: float) -> bool:
        ((_, entry),) = await self.cache.backend.iterate()
        return entry.created_at == then

    def _ask_plainly(self, prompt: str) -> tuple[list[str], str]:
        found = list(self.tell_plainly(prompt))
        return found, last_lookup().outcome


both = pytest.mark.parametrize("plain", [False, True], ids=["async", "plain"])


async def settle(condition) -> None:
    for _ in range(400):
        held = condition()
        if await held if inspect.isawaitable(held) else held:
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen")


@both
async def test_a_stale_stream_is_told_at_once_and_refreshed_behind(plain):
    model = Model(stale_while_revalidate=20)
    await model.ask(plain)
    model.clock.now += 11
    assert await model.ask(plain) == (["a1", "b1"], "stale")
    await settle(lambda: model.calls == 2)
    await settle(lambda: model.stored_at(model.clock.now))
    assert await model.ask(plain) == (["a2", "b2"], "exact")
    model.clock.now += 31
    assert await model.ask(plain) == (["a3", "b3"], "miss")


@both
async def test_a_refresh_that_breaks_off_keeps_the_stale_stream(plain):
    model = Model(stale_while_revalidate=20)
    await model.ask(plain)
    model.clock.now += 11
    model.fail = 1
    assert (await model.ask(plain))[1] == "stale"
    await settle(lambda: model.calls == 2)
    await asyncio.sleep(0.02)
    assert await model.ask(plain) == (["a1", "b1"], "stale")


@both
async def test_a_stale_stream_stands_in_for_an_error_before_the_first_chunk(plain):
    model = Model(stale_if_error=100)
    await model.ask(plain)
    model.clock.now += 50
    model.fail = 0
    assert await model.ask(plain) == (["a1", "b1"], "stale")
    told = await asyncio.gather(*(model.ask(plain) for _ in range(3)))  # those who join get it too
    assert [chunks for chunks, _ in told] == [["a1", "b1"]] * 3
    model.fail = 1
    with pytest.raises(OSError, match="upstream died"):  # words are out that it would contradict
        await model.ask(plain)
    model.clock.now += 100
    model.fail = 0
    with pytest.raises(OSError, match="upstream died"):
        await model.ask(plain)
    model.fail = None
    assert (await model.ask(plain))[1] == "miss"


@both
async def test_shadow_mode_calls_and_counts_what_would_have_been_told(plain):
    model = Model(mode="shadow", namespace=f"shadow-{plain}")
    for calls in (1, 2):
        assert await model.ask(plain) == ([f"a{calls}", f"b{calls}"], "miss")
    stats = get_stats(f"shadow-{plain}")
    assert (stats["shadow_requests"], stats["shadow_hits"]) == (2, 1)
    model.fail = 1
    with pytest.raises(OSError, match="upstream died"):
        await model.ask(plain, "c d")
    model.fail = None
    await model.ask(plain, "c d")
    stats = get_stats(f"shadow-{plain}")
    assert (stats["shadow_requests"], stats["shadow_hits"]) == (3, 1)  # what broke off was neither judged nor stored


class Gated:
    """One request, told as a stream by async or plain code, that goes on word by word when told to."""

    def __init__(self) -> None:
        self.cache = SemanticCache("memory://")
        self.request = Request("gated", None, "a b c")
        self.calls = 0
        self.go = threading.Event()

    def read(self) -> list[str]:
        def source():
            self.calls += 1
            for word in "a", "b", "c":
                yield word
                assert self.go.wait(10)

        settings = self.cache.settings(list[str])
        return list(stream_blocking(self.cache, self.request, source, settings))

    async def aread(self) -> list[str]:
        async def source():
            self.calls += 1
            for word in "a", "b", "c":
                yield word
                await settle(self.go.is_set)

        settings = self.cache.settings(list[str])
        return [chunk async for chunk in stream(self.cache, self.request, source, settings)]

    @property
    def under_way(self) -> bool:
        return self.request.key in streams_of(self.cache).live


async def test_plain_readers_join_an_async_stream_and_the_other_way_round():
    for first_is_plain in (False, True):
        gated = Gated()
        ways = [lambda g=gated: asyncio.to_thread(g.read), gated.aread]
        first, second = ways if first_is_plain else reversed(ways)
        one = asyncio.ensure_future(first())
        await settle(lambda g=gated: g.under_way)
        others = [asyncio.ensure_future(second()) for _ in range(3)]
        await asyncio.sleep(0.05)
        gated.go.set()
        assert await asyncio.wait_for(asyncio.gather(one, *others), 10) == [["a", "b", "c"]] * 4
        assert gated.calls == 1
        assert not gated.under_way


async def test_plain_code_on_the_loop_that_carries_the_stream_calls_alone():
    gated = Gated()
    task = asyncio.create_task(gated.aread())
    await settle(lambda: gated.under_way)
    gated.go.set()
    assert gated.read() == ["a", "b", "c"]  # waiting here would wait for this very loop
    assert await task == ["a", "b", "c"]
    assert gated.calls == 2


def test_a_loop_that_stops_ends_its_stream_for_those_who_have_joined_elsewhere():
    gated, loop, stop = Gated(), asyncio.new_event_loop(), threading.Event()
    raised = []

    async def begin() -> asyncio.Task:
        task = asyncio.ensure_future(gated.aread())
        await settle(stop.is_set)
        return task

    def join() -> None:
        try:
            gated.read()
        except ConnectionError as error:
            raised.append(str(error))

    carrier = threading.Thread(target=lambda: raised.append(loop.run_until_complete(begin())))
    carrier.start()
    asyncio.run(settle(lambda: gated.under_way))
    reader = threading.Thread(target=join)
    reader.start()
    time.sleep(0.1)
    stop.set()  # nobody runs that loop any more
    carrier.join(5)
    reader.join(5)
    assert gated.calls == 1
    assert "has stopped" in raised[1]
    gated.go.set()
    assert gated.read() == ["a", "b", "c"]  # whoever comes now calls alone
    assert gated.calls == 2
    with contextlib.suppress(ConnectionError):
        loop.run_until_complete(raised[0])
    loop.close()
