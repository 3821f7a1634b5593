"""A backend's figures include what the engines have counted and not yet written."""

import asyncio
import os

import pytest
from postgres_servers import own_schema
from postgres_servers import server_url as postgres_url
from redis_servers import own_prefix
from redis_servers import server_url as redis_url

from semantic_llm_cache import CacheStats, SemanticCache, get_stats
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.backends.postgres import PostgresBackend
from semantic_llm_cache.backends.redis import RedisBackend
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.similarity import DummyEmbeddingProvider
from semantic_llm_cache.stats import reset_stats


def backend_of(kind, folder):
    if kind == "memory":
        return MemoryBackend()
    if kind == "sqlite":
        return SQLiteBackend(folder / "c.db")
    if kind == "redis":
        return RedisBackend(redis_url("plain"), prefix=own_prefix())
    url = postgres_url()
    return PostgresBackend(url, schema=own_schema(url))


async def use(backend):
    """Make 2 misses and 5 hits on two engines, then 1 miss and 1 hit by meaning."""
    one, two = SemanticCache(backend, namespace="one"), SemanticCache(backend, namespace="two")
    near = SemanticCache(backend, namespace="near", embedder=DummyEmbeddingProvider(), similarity=0.0, guards=None)

    @one.cache()
    async def first(prompt: str):
        return [prompt]

    @two.cache()
    async def second(prompt: str):
        return prompt

    @near.cache()
    async def third(prompt: str):
        return prompt

    for _ in range(4):
        await first("a")
    for _ in range(3):
        await second("a")
    await third("a")
    await third("b")


@pytest.mark.parametrize("kind", ["memory", "sqlite", "redis", "postgres"])
async def test_the_figures_of_backend_and_process_agree(kind, tmp_path):
    reset_stats()
    async with backend_of(kind, tmp_path) as backend:
        await use(backend)
        shown, mine = await backend.get_stats(), get_stats()
        assert (shown["hits"], shown["misses"]) == (mine["hits"], mine["misses"]) == (6, 3)
        kept = await backend.get_counters()
        for name in ("one", "two", "near"):
            assert (kept[name]["hits"], kept[name]["misses"]) == (get_stats(name)["hits"], get_stats(name)["misses"])
        for entries in (
            [entry async for _, entry in backend.scan()],
            [entry for _, entry in await backend.iterate()],
            await backend.get_many([key for key, _ in await backend.iterate()], touch=False),
        ):
            assert sorted((entry.namespace, entry.hit_count) for entry in entries) == [
                ("near", 1), ("one", 3), ("two", 2)
            ]  # fmt: skip
        # The figures stay when the engines are gone and all is written, and reads without an engine count as before.
        await backend.set("k", CacheEntry("p", "r"))
        assert await backend.get("k") is not None
        assert await backend.get("nothing") is None
        shown = await backend.get_stats()
        assert (shown["hits"], shown["misses"]) == (7, 4)
        assert await backend.get_counters() == kept


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_shows_its_own_and_writes_nothing_twice(tmp_path):
    backend = SQLiteBackend(tmp_path / "c.db")
    asyncio.run(use(backend))

    async def figures():
        shown = await backend.get_stats()
        counters = await backend.get_counters()
        return shown["hits"], shown["misses"], sum(one["hits"] for one in counters.values())

    pid = os.fork()
    if not pid:
        status = 1
        try:
            asyncio.run(use(backend))  # 9 hits: all answers are there
            hits, misses, kept = asyncio.run(figures())
            status = 0 if (hits, misses) == (6 + 9, 3) and kept in (9, 15) else 2
            asyncio.run(backend.close())
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    hits, misses, kept = asyncio.run(figures())
    assert (hits, misses) == (6, 3)
    assert kept == 15
    asyncio.run(backend.close())


def test_stats_add_up():
    one = CacheStats(
        hits=1, misses=3, exact_hits=1, total_saved_ms=1.5, hit_p99_ms=4.0, shadow_judged=8, shadow_wrong=1
    )
    one.estimate()
    two = CacheStats(hits=4, misses=0, near_hits=4, evictions=2, hit_p99_ms=3.0)
    total = one + two
    assert (total.hits, total.misses, total.exact_hits, total.near_hits, total.evictions) == (5, 3, 1, 4, 2)
    assert (total.hit_rate, total.total_saved_ms, total.hit_p99_ms) == (5 / 8, 1.5, 4.0)
    assert total.estimated_wrong_hit_rate == 1 / 8
    assert sum([one, two]) == total == sum([two, one], CacheStats())
    assert sum([one]) == one
    assert one + CacheStats() == one
    more = one + one
    assert more.estimated_wrong_hit_rate == 1 / 8
    low, high = more.estimated_wrong_hit_interval
    assert one.estimated_wrong_hit_interval[0] < low < 1 / 8 < high < one.estimated_wrong_hit_interval[1]
    assert CacheStats.from_dict(one.to_dict()) == one
    with pytest.raises(TypeError):
        one + 1
