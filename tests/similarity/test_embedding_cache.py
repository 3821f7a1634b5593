"""EmbeddingCache, and cosine_similarity."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_llm_cache.exceptions import EmbeddingUnavailableError
from semantic_llm_cache.similarity import (
    DummyEmbeddingProvider,
    EmbeddingCache,
    OnnxEmbeddingProvider,
    cosine_similarity,
)
from semantic_llm_cache.similarity.batching import EncodeBatcher


class Slow(DummyEmbeddingProvider):
    """A provider that takes its time, in a thread, and notes what it was asked."""

    def __init__(self, seconds: float = 0.05, fail: int = 0) -> None:
        super().__init__(dimension=8)
        self.seconds = seconds
        self.fail = fail
        self.asked: list[str] = []
        self._batcher = EncodeBatcher(self.encode_batch)

    def encode_batch(self, texts):
        self.asked += texts
        time.sleep(self.seconds)
        if self.fail:
            self.fail -= 1
            raise EmbeddingUnavailableError("out of order")
        return super().encode_batch(texts)

    async def aencode(self, text):
        return await self._batcher.submit(text)

    async def aencode_batch(self, texts):
        return await self._batcher.submit_many(texts)


class ToThread(Slow):
    """The same with the base class's asynchronous methods, which know no batching."""

    async def aencode(self, text):
        return await asyncio.to_thread(self.encode, text)

    async def aencode_batch(self, texts):
        return await asyncio.to_thread(self.encode_batch, texts)


@pytest.fixture(params=[Slow, ToThread])
def provider(request):
    return request.param()


def test_a_text_is_encoded_once_and_read_only():
    provider = Slow(0)
    cache = EmbeddingCache(provider)
    first = cache.encode("hello")
    assert cache.encode("hello") is first
    assert asyncio.run(cache.aencode("hello")) is first
    assert np.array_equal(cache.encode_batch(["hello", "hello"]), np.stack([first, first]))
    assert provider.asked == ["hello"]
    for array in (first, cache.encode_batch(["hello"])):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_a_batch_encodes_only_what_is_missing_in_order_and_once():
    provider = Slow(0)
    cache = EmbeddingCache(provider)
    cache.encode("b")
    rows = cache.encode_batch(["a", "b", "c", "a"])
    assert provider.asked == ["b", "a", "c"]
    assert np.array_equal(rows, DummyEmbeddingProvider(8).encode_batch(["a", "b", "c", "a"]))
    expected = DummyEmbeddingProvider(8).encode_batch(["c", "d"])
    assert np.array_equal(asyncio.run(cache.aencode_batch(["c", "d"])), expected)
    assert provider.asked == ["b", "a", "c", "d"]
    assert cache.encode_batch([]).shape[0] == asyncio.run(cache.aencode_batch([])).shape[0] == 0


def test_the_least_recently_used_goes_first():
    provider = Slow(0)
    cache = EmbeddingCache(provider, cache_size=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        cache.encode(text)
    assert provider.asked == ["a", "b", "c", "b"]
    assert len(cache) == 2
    cache.clear_cache()
    assert len(cache) == 0
    cache.encode("a")
    assert provider.asked[-1] == "a"
    assert cache.encode_batch(["a", "b", "c", "d"]).shape == (4, 8)  # more than it keeps
    assert len(cache) == 2


async def test_concurrent_tasks_encode_a_text_once(provider):
    cache = EmbeddingCache(provider)
    rows = await asyncio.gather(*(cache.aencode("hello") for _ in range(50)), cache.aencode_batch(["hello"]))
    assert provider.asked == ["hello"]
    assert all(row is rows[0] for row in rows[:50])


def test_threads_and_loops_together_encode_a_text_once(provider):
    cache = EmbeddingCache(provider)

    def ask(n):
        return cache.encode("hello") if n % 2 else asyncio.run(cache.aencode("hello"))

    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(ask, range(16)))
    assert provider.asked == ["hello"]
    assert all(np.array_equal(row, rows[0]) for row in rows)


async def test_cancelling_the_first_leaves_the_others_served(provider):
    cache = EmbeddingCache(provider)
    tasks = [asyncio.create_task(cache.aencode("hello")) for _ in range(10)]
    await asyncio.sleep(0.01)
    for task in tasks[:5]:
        task.cancel()
    rows = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(row, asyncio.CancelledError) for row in rows[:5])
    assert all(row.shape == (8,) for row in rows[5:])
    assert provider.asked == ["hello"]


def test_a_loop_that_ends_midway_leaves_waiters_elsewhere_served(provider):
    cache = EmbeddingCache(provider)
    flying = threading.Event()

    async def leaves():
        task = asyncio.create_task(cache.aencode("hello"))
        await asyncio.sleep(0.01)
        flying.set()
        task.cancel()

    with ThreadPoolExecutor(2) as pool:
        gone = pool.submit(asyncio.run, leaves())
        assert flying.wait(5)
        assert pool.submit(cache.encode, "hello").result(10).shape == (8,)
        gone.result(10)


def test_a_loop_that_ends_before_encoding_began_leaves_waiters_elsewhere_served(provider):
    cache = EmbeddingCache(provider)

    async def leaves():
        coroutine = cache.aencode("hello")
        coroutine.send(None)  # claims the text and makes the task that encodes it
        (task,) = cache._tasks
        joined.append(pool.submit(cache.encode, "hello"))
        time.sleep(0.05)  # noqa: ASYNC251  (the loop must not turn)
        task.cancel()  # before its first step
        coroutine.close()

    joined = []
    with ThreadPoolExecutor(1) as pool:
        asyncio.run(leaves())
        assert joined[0].result(10).shape == (8,)


async def test_blocking_encode_on_a_loop_does_not_wait_for_that_loop(provider):
    cache = EmbeddingCache(provider)
    task = asyncio.create_task(cache.aencode("hello"))
    await asyncio.sleep(0.01)
    assert cache.encode("hello").shape == (8,)
    assert np.array_equal(await task, cache.encode("hello"))


def test_a_failure_reaches_those_who_wait_and_is_not_kept(provider):
    provider.fail = 1
    cache = EmbeddingCache(provider)

    async def several():
        return await asyncio.gather(*(cache.aencode("hello") for _ in range(5)), return_exceptions=True)

    errors = asyncio.run(several())
    assert all(isinstance(error, EmbeddingUnavailableError) for error in errors)
    assert len(cache) == 0
    assert cache.encode("hello").shape == (8,)
    assert provider.asked == ["hello", "hello"]
    provider.fail = 1
    with pytest.raises(EmbeddingUnavailableError):
        cache.encode("other")
    assert cache.encode("other").shape == (8,)


async def test_a_hit_gives_the_loop_away_to_nobody():
    cache = EmbeddingCache(Slow(0))
    await cache.aencode("hello")
    hit = cache.aencode("hello")
    with pytest.raises(StopIteration) as done:  # finished in its first step
        hit.send(None)
    assert done.value.value.shape == (8,)


def test_it_is_the_provider_it_wraps_with_the_real_model():
    provider = OnnxEmbeddingProvider(threads=1)
    cache = EmbeddingCache(provider)
    assert cache.fingerprint == provider.fingerprint
    assert not cache.loaded
    cache.check()
    cache.load()
    assert cache.loaded
    assert not cache.readable("word " * 300)
    assert np.abs(cache.encode("What is Python?") - provider.encode("What is Python?")).max() < 1e-5
    assert cache
    asyncio.run(cache.close())
    assert not provider.loaded
    assert cache.encode("What is Python?").shape == (384,)


def test_no_provider_is_auto_and_names_work():
    assert EmbeddingCache().fingerprint == OnnxEmbeddingProvider().fingerprint
    assert EmbeddingCache("dummy").fingerprint == "dummy:384:unit"


@pytest.mark.parametrize("size", [0, -1, 1.5, True])
def test_cache_size_is_checked(size):
    with pytest.raises(ValueError, match="cache_size="):
        EmbeddingCache("dummy", cache_size=size)


# Smaller ones could become 0 when the test scales them.
numbers = st.floats(-1e30, 1e30, allow_nan=False).map(lambda x: x if abs(x) > 1e-300 else 0.0)
pairs = st.integers(1, 20).flatmap(
    lambda n: st.tuples(st.lists(numbers, min_size=n, max_size=n), st.lists(numbers, min_size=n, max_size=n))
)


class TestCosine:
    @given(pairs)
    def test_lies_in_range_and_is_symmetric(self, pair):
        a, b = pair
        value = cosine_similarity(a, b)
        assert -1 <= value <= 1
        assert value == pytest.approx(cosine_similarity(b, a), abs=1e-12)

    @given(pairs, st.floats(1e-5, 1e5))
    def test_length_does_not_matter_and_sign_does(self, pair, factor):
        a, b = pair
        value = cosine_similarity(a, b)
        assert cosine_similarity([x * factor for x in a], b) == pytest.approx(value, abs=1e-9)
        assert cosine_similarity([-x for x in a], b) == pytest.approx(-value, abs=1e-9)

    @given(st.lists(numbers, min_size=1, max_size=20))
    def test_with_itself_is_one_and_with_zero_is_zero(self, a):
        assert cosine_similarity(a, a) == (pytest.approx(1) if any(a) else 0.0)
        assert cosine_similarity(a, [0.0] * len(a)) == 0.0

    @given(st.floats(-math.pi, math.pi))
    def test_is_the_cosine_of_the_angle(self, angle):
        assert cosine_similarity([1, 0], [math.cos(angle), math.sin(angle)]) == pytest.approx(math.cos(angle))

    def test_unequal_dimensions(self):
        with pytest.raises(ValueError, match="different dimensions: 2 and 3"):
            cosine_similarity([1, 0], [1, 0, 0])
        with pytest.raises(ValueError, match="one-dimensional"):
            cosine_similarity([[1, 0]], [[1, 0]])
