"""Generators under the cache: joined in flight, replayed, stored only when whole."""

import asyncio
import inspect
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from semantic_llm_cache import CacheContext, SemanticCache, cache, last_lookup


class Source:
    """A model that streams its prompt word by word and counts."""

    def __init__(self, fail_at: int | None = None, delay: float = 0.002) -> None:
        self.calls = 0
        self.closed = 0
        self.fail_at = fail_at
        self.delay = delay

    def make(self, **options):
        @cache(**{"backend": "memory://", **options})
        async def tell(prompt: str) -> AsyncIterator[str]:
            self.calls += 1
            try:
                for i, word in enumerate(prompt.split()):
                    await asyncio.sleep(self.delay)
                    if i == self.fail_at:
                        raise OSError("upstream died")
                    yield word
            finally:
                self.closed += 1

        return tell


async def collect(chunks) -> list:
    return [chunk async for chunk in chunks]


async def test_a_hit_replays_all_chunks():
    source = Source()
    tell = source.make()
    assert await collect(tell("a b c")) == ["a", "b", "c"]
    assert last_lookup().stored
    assert await collect(tell("a b c")) == ["a", "b", "c"]
    assert (source.calls, last_lookup().outcome, tell.cache_info().exact_hits) == (1, "exact", 1)


async def test_the_first_caller_gets_chunks_as_they_come():
    tell = Source(delay=0.05).make()
    seen = []
    started = time.perf_counter()
    async for _ in tell("a b c d"):
        seen.append(time.perf_counter() - started)
    assert seen[0] < seen[-1] * 0.6


async def test_others_join_and_get_all_from_the_start():
    source = Source(delay=0.02)
    tell = source.make()
    first = asyncio.create_task(collect(tell("a b c d")))
    await asyncio.sleep(0.05)  # some chunks are out already
    late = await collect(tell("a b c d"))
    assert last_lookup().outcome == "coalesced"
    assert (late, await first, source.calls) == (["a", "b", "c", "d"], ["a", "b", "c", "d"], 1)


async def test_one_who_leaves_or_is_cancelled_does_not_stop_the_others():
    source = Source(delay=0.02)
    tell = source.make()
    first = asyncio.create_task(collect(tell("a b c d")))
    await asyncio.sleep(0.03)
    second = asyncio.create_task(collect(tell("a b c d")))
    third = asyncio.create_task(collect(tell("a b c d")))
    await asyncio.sleep(0.01)
    first.cancel()
    third.cancel()
    assert await second == ["a", "b", "c", "d"]
    await asyncio.sleep(0.05)
    assert await collect(tell("a b c d")) == ["a", "b", "c", "d"]
    assert source.calls == 1


async def test_an_abandoned_stream_is_closed_and_stores_nothing():
    source = Source(delay=0.01)
    tell = source.make()
    chunks = tell("a b c d")
    assert await anext(chunks) == "a"
    await chunks.aclose()
    for _ in range(100):
        if source.closed:
            break
        await asyncio.sleep(0.01)
    assert source.closed == 1
    assert (await tell.cache_lookup("a b c d")).outcome == "miss"
    assert await collect(tell("a b c d")) == ["a", "b", "c", "d"]
    assert source.calls == 2


async def test_a_failing_stream_reaches_all_and_stores_nothing():
    source = Source(fail_at=2, delay=0.02)
    tell = source.make()

    async def read():
        got = []
        with pytest.raises(OSError, match="upstream died"):
            async for chunk in tell("a b c d"):
                got.append(chunk)
        return got

    assert await asyncio.gather(*(read() for _ in range(3))) == [["a", "b"]] * 3
    assert source.calls == 1
    assert (await tell.cache_lookup("a b c d")).outcome == "miss"


async def test_near_hit_on_a_stream():
    source = Source()
    tell = source.make(similarity=0.95)
    await collect(tell("What is Python?"))
    assert await collect(tell("What's Python?")) == ["What", "is", "Python?"]
    assert (last_lookup().outcome, source.calls) == ("near", 1)


async def test_models_as_chunks_are_copied_and_rebuilt():
    @dataclass
    class Chunk:
        words: list[str]

    made = []

    @cache(backend="memory://", result_type=list[Chunk])
    async def tell(prompt: str) -> AsyncIterator[Chunk]:
        for word in prompt.split():
            made.append(Chunk([word]))
            yield made[-1]

    first = await collect(tell("a b"))
    assert first[0] is made[0]
    first[0].words.append("mine")
    again = await collect(tell("a b"))
    assert again == [Chunk(["a"]), Chunk(["b"])]


async def test_replay_delay_paces_a_hit():
    tell = Source(delay=0).make(replay_delay=0.02)
    await collect(tell("a b c"))
    started = time.perf_counter()
    await collect(tell("a b c"))
    assert time.perf_counter() - started >= 0.04


async def test_chunks_without_a_stored_form_are_streamed_uncached():
    calls = 0

    @cache(backend="memory://")
    async def tell(prompt: str):
        nonlocal calls
        calls += 1
        yield threading.Lock()

    with pytest.warns(UserWarning, match="uncached"):
        assert len(await collect(tell("a"))) == 1
    assert len(await collect(tell("a"))) == 1
    assert calls == 2


async def test_memory_is_bounded_and_the_slowest_reader_holds_the_source_up():
    pushed = 0

    @SemanticCache("memory://", max_response=50).cache
    async def tell(prompt: str) -> AsyncIterator[str]:
        nonlocal pushed
        for _ in range(100):
            pushed += 1
            yield "x" * 10

    chunks = tell("a")
    await anext(chunks)
    await asyncio.sleep(0.05)
    assert pushed < 20
    assert len(await collect(chunks)) == 99
    assert (await tell.cache_lookup("a")).outcome == "miss"


async def test_disabled_passes_through():
    source = Source()
    tell = source.make()
    with CacheContext(enabled=False):
        assert await collect(tell("a b")) == ["a", "b"]
        assert await collect(tell("a b")) == ["a", "b"]
    assert source.calls == 2


def test_it_stays_a_generator_function():
    assert inspect.isasyncgenfunction(Source().make())

    @cache
    def tell(prompt: str) -> Iterator[str]:
        yield prompt

    assert inspect.isgeneratorfunction(tell)


class TestPlain:
    def make(self, delay: float = 0.005, fail_at: int | None = None):
        calls = []

        @cache(backend="memory://")
        def tell(prompt: str) -> Iterator[str]:
            calls.append(prompt)
            for i, word in enumerate(prompt.split()):
                time.sleep(delay)
                if i == fail_at:
                    raise OSError("upstream died")
                yield word

        return tell, calls

    def test_hit_and_threads_join(self):
        tell, calls = self.make(0.02)
        results = []
        threads = [threading.Thread(target=lambda: results.append(list(tell("a b c")))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [["a", "b", "c"]] * 4
        assert list(tell("a b c")) == ["a", "b", "c"]
        assert (calls, last_lookup().outcome) == (["a b c"], "exact")

    def test_abandoned_stores_nothing(self):
        tell, calls = self.make()
        chunks = tell("a b c")
        assert next(chunks) == "a"
        chunks.close()
        assert tell.cache_lookup("a b c").outcome == "miss"
        assert list(tell("a b c")) == ["a", "b", "c"]
        assert len(calls) == 2

    def test_failure_passes_and_stores_nothing(self):
        tell, calls = self.make(fail_at=1)
        with pytest.raises(OSError, match="died"):
            list(tell("a b c"))
        with pytest.raises(OSError, match="died"):
            list(tell("a b c"))
        assert len(calls) == 2


async def test_bad_replay_delay_names_the_argument():
    with pytest.raises(ValueError, match="replay_delay"):
        Source().make(replay_delay=-1)
