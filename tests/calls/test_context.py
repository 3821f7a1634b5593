"""`CacheContext`: settings for the calls inside, and what happened to them."""

import asyncio
import threading

import pytest

from semantic_llm_cache import CacheContext, CachedLLM, EmbeddingUnavailableError, SemanticCache, cache, last_lookup
from semantic_llm_cache.backends import MemoryBackend
from semantic_llm_cache.similarity import EmbeddingProvider


class Words(EmbeddingProvider):
    """Texts with the same letters are near."""

    fingerprint = "letters"

    def encode_batch(self, texts):
        import numpy as np

        rows = np.array([[t.lower().count(c) for c in "abcdefghijklmnopqrstuvwxyz"] for t in texts], dtype="f4") + 1e-3
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def outcomes(context):
    return [lookup.outcome for lookup in context.lookups]


async def test_disabled_inside():
    ran = []

    @cache
    async def ask(prompt):
        ran.append(prompt)
        return prompt

    await ask("q")
    async with CacheContext(enabled=False) as context:
        assert await ask("q") == "q"
        assert await ask("new") == "new"
    assert ran == ["q", "q", "new"]
    assert context.stats["hits"] == context.stats["misses"] == 0
    await ask("new")
    assert len(ran) == 4  # what was let through was not stored
    await ask("q")
    assert len(ran) == 4


def test_enabled_inside():
    ran = []

    @cache(enabled=False)
    def ask(prompt):
        ran.append(prompt)
        return prompt

    with CacheContext(enabled=True):
        assert ask("q") == ask("q") == "q"
    assert len(ran) == 1
    ask("q")
    assert len(ran) == 2


def test_the_environment_switch_is_stronger(monkeypatch):
    monkeypatch.setenv("SEMANTIC_LLM_CACHE_DISABLED", "1")
    ran = []

    @cache
    def ask(prompt):
        ran.append(prompt)
        return prompt

    with CacheContext(enabled=True):
        ask("q")
        ask("q")
    assert len(ran) == 2


def test_ttl_inside():
    now = [1000.0]
    backend = MemoryBackend(clock=lambda: now[0])
    from semantic_llm_cache import SemanticCache

    engine = SemanticCache(backend, ttl=10, clock=lambda: now[0])
    ran = []

    @engine.cache
    def ask(prompt):
        ran.append(prompt)
        return prompt

    with CacheContext(ttl="1h"):
        ask("long")
    with CacheContext(ttl=None):
        ask("ever")
    ask("short")
    now[0] += 11
    for prompt in ("long", "ever", "short"):
        ask(prompt)
    assert ran == ["long", "ever", "short", "short"]
    now[0] += 3600
    for prompt in ("ever", "long"):
        ask(prompt)
    assert ran[4:] == ["long"]


async def test_similarity_inside():
    ran = []

    @SemanticCache(embedder=Words()).cache
    async def ask(prompt):
        ran.append(prompt)
        return prompt

    await ask("listen to it")
    await ask("silent to it")
    assert len(ran) == 2
    # What was stored by exact calls has no vector, so a near call stores its own first.
    async with CacheContext(similarity=0.99, namespace="near") as context:
        await ask("listen to it")
        assert await ask("silent to it") == "listen to it"
        async with CacheContext(similarity=1.0):
            assert await ask("tinsel to it") == "tinsel to it"
    assert outcomes(context) == ["miss", "near", "miss"]
    assert context.stats["near_hits"] == 1
    assert context.lookups[1].matched_prompt == "listen to it"
    assert context.lookups[1].similarity == pytest.approx(1.0, abs=1e-5)


def test_similarity_inside_without_an_embedder_says_so(monkeypatch):
    from semantic_llm_cache.similarity import factory

    @cache
    def ask(prompt):
        return prompt

    def missing(model_name):
        raise EmbeddingUnavailableError("two commands mend it")

    monkeypatch.setattr(factory, "_auto", missing)
    with CacheContext(similarity=0.9), pytest.raises(EmbeddingUnavailableError, match="two commands"):
        ask("q")


async def test_nested_contexts_merge():
    @cache
    async def ask(prompt):
        return prompt

    with CacheContext(namespace="outer") as outer:
        await ask("q")
        with CacheContext(enabled=False) as off:
            await ask("q")
            with CacheContext(enabled=True) as on:
                await ask("q")
                assert last_lookup().namespace == "outer"
            with CacheContext(namespace="inner", enabled=True) as inner:
                await ask("q")
                assert last_lookup().namespace == "inner"
        await ask("q")
    assert outcomes(on) == ["exact"]
    assert outcomes(inner) == ["miss"]
    assert outcomes(outer)[-1] == "exact"
    assert outer.stats["hits"] == 2
    assert outer.stats["misses"] == 2
    assert off.stats["hits"] == 1
    assert off.stats["misses"] == 1
    await ask("q")
    assert last_lookup().outcome == "miss"  # outside nothing had been asked
    assert last_lookup().namespace == "default"


async def test_tasks_started_inside_follow_and_are_counted():
    @cache
    async def ask(prompt):
        await asyncio.sleep(0.01)
        return prompt

    release = asyncio.Event()

    async def later():
        await release.wait()
        await ask("late")
        return last_lookup().namespace

    async with CacheContext(namespace="inside") as context:
        task = asyncio.create_task(later())
        await asyncio.gather(*(ask(f"q{i % 3}") for i in range(9)))
    release.set()
    assert await task == "inside"
    stats = context.stats
    assert (stats["hits"], stats["misses"], stats["total_requests"]) == (6, 4, 10)
    assert stats["coalesced_hits"] == 6
    assert stats["hit_rate"] == pytest.approx(0.6)
    assert len(context.lookups) == 10


async def test_tasks_side_by_side_do_not_see_each_others():
    @cache
    async def ask(prompt):
        return prompt

    async def one(name):
        async with CacheContext(namespace=name) as context:
            await asyncio.sleep(0)
            await ask("q")
            await asyncio.sleep(0)
            await ask("q")
            return outcomes(context), last_lookup().namespace

    found = await asyncio.gather(*(one(f"n{i}") for i in range(5)))
    assert found == [(["miss", "exact"], f"n{i}") for i in range(5)]


async def test_one_context_in_several_tasks_and_again():
    @cache
    async def ask(prompt):
        return prompt

    context = CacheContext(namespace="shared")

    async def one(delay):
        async with context:
            await asyncio.sleep(delay)
            await ask("q")
        await ask("outside")
        return last_lookup().namespace

    assert await asyncio.gather(one(0.02), one(0.01), one(0.03)) == ["default"] * 3
    assert context.stats["total_requests"] == 3
    with context:
        await ask("q")
    assert context.stats["total_requests"] == 4


async def test_entered_in_one_task_and_left_in_another():
    context = CacheContext(enabled=False)
    await asyncio.create_task(context.__aenter__())
    await asyncio.create_task(context.__aexit__(None, None, None))


def test_one_context_entered_twice():
    @cache
    def ask(prompt):
        return prompt

    context = CacheContext(namespace="n")
    with context, context:
        ask("q")
    ask("q")
    assert last_lookup().namespace == "default"
    assert context.stats["total_requests"] == 1


def test_left_by_an_exception():
    @cache
    def ask(prompt):
        return prompt

    with pytest.raises(KeyError), CacheContext(enabled=False):
        raise KeyError
    ask("q")
    assert ask.cache_lookup("q").hit


async def test_threads_started_with_the_context():
    @cache
    def ask(prompt):
        return prompt

    with CacheContext(namespace="t") as context:
        await asyncio.gather(*(asyncio.to_thread(ask, f"q{i}") for i in range(20)))
        thread = threading.Thread(target=ask, args=("other",))  # a bare thread has a context of its own
        thread.start()
        thread.join()
    assert context.stats["misses"] == 20


def test_every_door_is_recorded():
    llm = CachedLLM(model="m")
    with CacheContext(namespace="inside") as context:
        assert llm.chat("q", llm_func=str.upper) == "Q"
        assert llm.chat("q", llm_func=str.upper) == "Q"
    assert outcomes(context) == ["miss", "exact"]
    assert {lookup.namespace for lookup in context.lookups} == {"inside"}
    assert llm.chat("q", llm_func=lambda prompt: "outside") == "outside"


def test_lookups_tell_all():
    @cache
    def ask(prompt):
        return prompt

    with CacheContext() as context:
        ask("q")
        ask("q")
    miss, hit = context.lookups
    assert not miss.hit
    assert miss.stored
    assert miss.tier is None
    assert hit.hit
    assert hit.tier == "exact"
    assert (hit.prompt, hit.matched_prompt, hit.similarity) == ("q", "q", 1.0)
    assert hit.entry_key == hit.key == miss.key
    assert hit.age >= 0
    assert hit.reason
    assert miss.reason


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("similarity", 1.5, ValueError),
        ("similarity", "high", TypeError),
        ("ttl", -1, ValueError),
        ("ttl", "soon", ValueError),
        ("namespace", "", ValueError),
        ("enabled", "no", TypeError),
    ],
)
def test_bad_settings_are_named(name, value, error):
    with pytest.raises(error, match=f"{name}="):
        CacheContext(**{name: value})


def test_stats_of_a_context_with_no_calls():
    assert CacheContext().stats == {
        "hits": 0,
        "misses": 0,
        "hit_rate": 0.0,
        "total_requests": 0,
        "exact_hits": 0,
        "near_hits": 0,
        "coalesced_hits": 0,
        "bypassed": 0,
        "errors": 0,
    }
