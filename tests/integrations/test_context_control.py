"""`CacheContext(cache_control=...)`: what the calls made inside ask of the cache."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import openai
import pytest

from semantic_llm_cache import CacheContext, SemanticCache, last_lookup
from semantic_llm_cache.calls.control import cache_control
from semantic_llm_cache.exceptions import CacheNotFoundError
from semantic_llm_cache.integrations.openai import wrap


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Functions:
    """The same function in the four kinds that can be cached; `ask` calls the one meant and returns its answer."""

    def __init__(self, kind: str, **options) -> None:
        self.kind = kind
        self.calls = 0
        self.clock = Clock()
        cached = SemanticCache("memory://", clock=self.clock, **options).cache

        @cached
        async def waited(prompt: str) -> str:
            return self.answer(prompt)

        @cached
        def plain(prompt: str) -> str:
            return self.answer(prompt)

        @cached
        async def stream(prompt: str) -> AsyncIterator[str]:
            yield self.answer(prompt)

        @cached
        def plain_stream(prompt: str) -> Iterator[str]:
            yield self.answer(prompt)

        self.function = {"async": waited, "plain": plain, "stream": stream, "plain stream": plain_stream}[kind]

    def answer(self, prompt: str) -> str:
        self.calls += 1
        return f"{prompt} {self.calls}"

    async def ask(self, prompt: str = "a", control=None) -> str:
        if control is None:
            return await self._ask(prompt)
        with CacheContext(cache_control=control):
            return await self._ask(prompt)

    async def _ask(self, prompt: str) -> str:
        made = self.function(prompt)
        if self.kind == "async":
            return await made
        if self.kind == "stream":
            return "".join([chunk async for chunk in made])
        return made if self.kind == "plain" else "".join(made)


every = pytest.mark.parametrize("kind", ["async", "plain", "stream", "plain stream"])


@every
async def test_no_cache_calls_anew_and_stores(kind):
    functions = Functions(kind)
    assert await functions.ask() == "a 1"
    assert await functions.ask(control="no-cache") == "a 2"
    assert last_lookup().outcome == "miss"
    assert await functions.ask() == "a 2"
    assert last_lookup().outcome == "exact"


@every
async def test_no_store_leaves_nothing(kind):
    functions = Functions(kind)
    assert await functions.ask(control={"no-store"}) == "a 1"
    assert not last_lookup().stored
    assert await functions.ask() == "a 2"
    assert await functions.ask(control={"no-store"}) == "a 2"


@every
async def test_only_if_cached_answers_or_fails_and_never_calls(kind):
    functions = Functions(kind)
    with pytest.raises(CacheNotFoundError, match="only-if-cached"):
        await functions.ask(control="only-if-cached")
    assert (functions.calls, last_lookup().outcome) == (0, "miss")
    await functions.ask()
    assert await functions.ask(control="only-if-cached") == "a 1"
    assert (functions.calls, last_lookup().outcome) == (1, "exact")


@every
async def test_age_and_time_to_live(kind):
    functions = Functions(kind, ttl=100)
    await functions.ask(control={"ttl": 10})
    functions.clock.now += 9
    assert await functions.ask(control="max-age=9") == "a 1"
    assert await functions.ask(control="max-age=8") == "a 2"
    functions.clock.now += 99
    assert await functions.ask() == "a 2"
    await functions.ask("b", control={"ttl": "10s"})
    functions.clock.now += 11
    assert await functions.ask("b") == "b 4"


@every
async def test_similarity(kind):
    functions = Functions(kind)
    asked, again = "How do I reset my password?", "How can I reset my password?"
    for prompt in (asked, again):
        await functions.ask(prompt, control="similarity=0.9")
    assert (functions.calls, last_lookup().outcome) == (1, "near")
    await functions.ask(again)
    assert functions.calls == 2


async def test_contexts_nest_and_the_inner_one_counts():
    functions = Functions("async")
    await functions.ask()
    with CacheContext(cache_control="no-cache") as outer:
        with CacheContext(similarity=1.0):
            assert await functions.ask() == "a 2"
        with CacheContext(cache_control="") as inner:
            assert await functions.ask() == "a 2"
        assert inner.stats["exact_hits"] == 1
        assert await asyncio.create_task(functions.ask()) == "a 3"
    assert outer.stats == {**outer.stats, "hits": 1, "misses": 2}
    with CacheContext(enabled=False, cache_control="only-if-cached"):
        assert await functions.ask() == "a 4"


async def test_a_stale_stream_under_only_if_cached_reaches_nobody():
    functions = Functions("stream", ttl=10, stale_while_revalidate=60)
    await functions.ask()
    functions.clock.now += 11
    assert await functions.ask(control="only-if-cached") == "a 1"
    await asyncio.sleep(0.02)
    assert (functions.calls, last_lookup().outcome) == (1, "stale")


async def test_clients_obey_and_a_header_of_the_call_goes_before(server):
    async with wrap(openai.AsyncOpenAI(api_key="k", base_url=f"{server.url}/v1")) as client:

        async def ask(**options):
            messages = [{"role": "user", "content": "What is the capital of France?"}]
            answer = await client.chat.completions.create(model="m", messages=messages, **options)
            return answer.choices[0].message.content

        first, second, third = (f"Paris is the capital ({n})." for n in (1, 2, 3))
        with CacheContext(cache_control="only-if-cached"), pytest.raises(openai.APIStatusError, match="504"):
            await ask()
        assert await ask() == first
        with CacheContext(cache_control="no-cache"):
            assert await ask() == second
            assert await ask(extra_headers=cache_control(max_age=60)) == second
            assert await ask() == third
        with CacheContext(cache_control="only-if-cached"):
            assert await ask() == third
        assert all("x-cache-control" not in headers for _, headers, _ in server.seen)


@pytest.mark.parametrize("given", ["nonsense", 7, {"ttl": "soon"}, "similarity=2"])
def test_what_cannot_be_read_is_named(given):
    with pytest.raises((TypeError, ValueError), match="cache_control"):
        CacheContext(cache_control=given)
