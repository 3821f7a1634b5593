"""`CacheContext` around direct calls of the engine and `CachedLLM`: they obey it as cached functions do."""

import pytest
from engine_helpers import Clock

from semantic_llm_cache import CacheContext, CachedLLM, Request, SemanticCache, last_lookup
from semantic_llm_cache.backends import SQLiteBackend
from semantic_llm_cache.exceptions import CacheNotFoundError

REQUEST = Request("n", {}, "What is the capital of France?")


class Door:
    """One way to call the engine; `ask` gives the number of the call that made the answer."""

    def __init__(self, kind, backend):
        self.kind = kind
        self.calls = 0
        self.clock = Clock()
        options = {"ttl": 100, "clock": self.clock}
        self.engine = SemanticCache(backend, **options)
        self.llm = CachedLLM(model="m", backend=backend, **options)
        self.backend = self.engine.backend

    def __cache_scope__(self):
        return "all doors answer alike, however often they were called"

    def answer(self, *_):
        self.calls += 1
        return self.calls

    async def answer_later(self, *_):
        return self.answer()

    async def ask(self, control=None):
        if control is None:
            return await self._ask()
        with CacheContext(cache_control=control):
            return await self._ask()

    async def _ask(self):
        if self.kind == "async":
            return await self.engine.get_or_call(REQUEST, self.answer_later)
        if self.kind == "plain":
            return self.engine.get_or_call_blocking(REQUEST, self.answer)
        if self.kind == "achat":
            return await self.llm.achat(REQUEST.text, self.answer_later)
        if self.kind == "chat":
            return self.llm.chat(REQUEST.text, self.answer)
        found = await self.engine.lookup(REQUEST)
        if found.hit:
            return found.response
        await self.engine.store(REQUEST, self.answer())
        return self.calls


@pytest.fixture(params=["memory", "sqlite"])
async def storage(request, tmp_path):
    if request.param == "memory":
        yield "memory://"
    else:
        async with SQLiteBackend(tmp_path / "cache.db") as backend:
            yield backend


@pytest.fixture(params=["async", "plain", "achat", "chat", "lookup and store"])
def door(request, storage):
    return Door(request.param, storage)


async def test_no_cache_calls_anew_and_stores(door):
    assert [await door.ask(), await door.ask("no-cache"), await door.ask()] == [1, 2, 2]


async def test_no_store_leaves_nothing(door):
    assert [await door.ask("no-store"), await door.ask(), await door.ask("no-store")] == [1, 2, 2]


async def test_age_and_time_to_live(door):
    assert await door.ask("ttl=10") == 1
    door.clock.now += 9
    assert await door.ask("max-age=9") == 1
    door.clock.now += 2
    assert await door.ask() == 2
    door.clock.now += 50
    assert await door.ask("max-age=49") == 3


@pytest.mark.parametrize("door", ["async", "plain", "achat", "chat"], indirect=True)
async def test_only_if_cached_answers_or_fails_and_never_calls(door):
    with CacheContext(cache_control="only-if-cached") as context:
        with pytest.raises(CacheNotFoundError, match="only-if-cached"):
            await door.ask()
        assert (context.stats["misses"], last_lookup().outcome) == (1, "miss")
    assert await door.ask() == 1
    with CacheContext(cache_control="only-if-cached") as context:
        assert await door.ask() == 1
    assert (door.calls, context.stats["exact_hits"], last_lookup().outcome) == (1, 1, "exact")


async def test_only_if_cached_is_no_matter_to_a_lookup():
    engine = SemanticCache("memory://")
    with CacheContext(cache_control="only-if-cached"):
        assert not (await engine.lookup(REQUEST)).hit
        assert await engine.store(REQUEST, "a")
        assert (await engine.lookup(REQUEST)).response == "a"


async def test_store_says_so_and_its_own_time_to_live_goes_before():
    clock = Clock()
    engine = SemanticCache("memory://", ttl=100, clock=clock)
    with CacheContext(cache_control="no-store"):
        assert not await engine.store(REQUEST, "a")
    with CacheContext(cache_control="ttl=10"):
        assert await engine.store(REQUEST, "a", ttl=50)
    clock.now += 11
    assert (await engine.lookup(REQUEST)).hit
    with CacheContext(ttl=10):
        await engine.store(REQUEST, "a")
    clock.now += 11
    assert not (await engine.lookup(REQUEST)).hit


async def test_similarity():
    engine = SemanticCache("memory://")
    again = Request("n", {}, "What's the capital of France?")
    with CacheContext(cache_control="similarity=0.9"):
        await engine.store(REQUEST, "Paris")  # with its vector
        assert (await engine.lookup(again)).outcome == "near"
    assert (await engine.lookup(again)).outcome == "miss"


async def test_a_namespace_holds_for_all_four():
    engine = SemanticCache("memory://")
    with CacheContext(namespace="tenant"):
        assert await engine.store(REQUEST, "theirs")
        assert (await engine.lookup(REQUEST)).response == "theirs"
        assert await engine.get_or_call(REQUEST, lambda: "fresh") == "theirs"
        assert engine.get_or_call_blocking(REQUEST, lambda: "fresh") == "theirs"
    assert not (await engine.lookup(REQUEST)).hit
    assert not await engine.delete(REQUEST)
    with CacheContext(namespace="tenant"):
        assert await engine.delete(REQUEST)
        assert not (await engine.lookup(REQUEST)).hit
