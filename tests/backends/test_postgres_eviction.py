"""A bound on the entries in PostgreSQL: who goes, when, and that nobody waits for it."""

import asyncio

import pytest
from postgres_servers import execute, own_schema, server_url

from semantic_llm_cache.backends import PostgresBackend, backend_from_url
from semantic_llm_cache.backends.postgres import upkeep as _postgres_upkeep
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.exceptions import CacheBackendError
from semantic_llm_cache.testing import BackendConformance, Clock

X = [1.0, 0.0, 0.0]


class TestBoundedPostgres(BackendConformance):
    def make_backend(self, clock):
        return PostgresBackend(server_url(), schema=own_schema(server_url()), max_size=5000, clock=clock)


def made(clock=None, schema=None, **options):
    url = server_url()
    return PostgresBackend(url, schema=schema or own_schema(url), clock=clock, **options)


async def keys_of(backend):
    return sorted([key async for key, _ in backend.scan()])


async def settled(backend):
    """Wait for what runs in the background of writes."""
    while backend._tasks:
        await asyncio.gather(*backend._tasks)


async def test_the_least_recently_used_goes():
    clock = Clock()
    async with made(clock, max_size=3, front_size=0) as backend:
        for key in ("a", "b", "c"):
            clock.now += 1
            await backend.set(key, CacheEntry(key, key, X, created_at=clock.now, scope="s", embedder="e"))
        clock.now += 1
        await backend.get("a")
        clock.now += 1
        await backend.get_many(["b", "c"], touch=False)  # no use
        await backend.record_hits({"b": 1}, clock.now)
        clock.now += 1
        await backend.set("d", CacheEntry("d", "d", created_at=clock.now))
        await settled(backend)
        assert await keys_of(backend) == ["a", "b", "d"]
        clock.now += 1
        await backend.find_candidates(X, 0.9, k=1, scope="s", embedder="e")  # a or b: a use of it
        nearest = (await backend.find_candidates(X, 0.9, k=1, scope="s", embedder="e"))[0].key
        clock.now += 1
        await backend.set("e", CacheEntry("e", "e", created_at=clock.now))
        await settled(backend)
        assert await keys_of(backend) == sorted([nearest, "d", "e"])
        stats = await backend.get_stats()
        assert (stats["size"], stats["evictions"], stats["max_size"], stats["eviction"]) == (3, 2, 3, "lru")
        assert await execute(server_url(), f'SELECT * FROM "{backend.schema}".hits WHERE digest NOT IN '
                             f'(SELECT digest FROM "{backend.schema}".entries)') == []  # fmt: skip


@pytest.mark.parametrize(("eviction", "left"), [("lfu", "often"), ("cost", "dear")])
async def test_least_often_and_least_saved(eviction, left):
    clock = Clock()
    async with made(clock, max_size=2, eviction=eviction, front_size=0) as backend:
        await backend.set("often", CacheEntry("p", "r", created_at=clock.now, duration_ms=1.0))
        await backend.set("dear", CacheEntry("p", "r", created_at=clock.now, duration_ms=60_000.0, cost_usd=1.0))
        await backend.record_hits({"often": 3}, clock.now + 1)
        await settled(backend)
        clock.now += 2
        await backend.set("new", CacheEntry("p", "r", created_at=clock.now))
        await settled(backend)
        assert await keys_of(backend) == sorted([left, "new"])  # what was written just now is spared


async def test_expired_ones_go_first():
    clock = Clock()
    async with made(clock, max_size=10, front_size=0) as backend:
        await backend.set_many(
            (f"k{n}", CacheEntry("p", n, created_at=clock.now, ttl=5.0 if n % 2 else None)) for n in range(10)
        )
        clock.now += 5
        await backend.set_many((f"new{n}", CacheEntry("p", n, created_at=clock.now)) for n in range(5))
        await settled(backend)
        stats = await backend.get_stats()
        assert (stats["size"], stats["evictions"], stats["expired"]) == (10, 0, 5)


@pytest.mark.parametrize("eviction", ["lru", "lfu", "cost"])
async def test_ten_times_the_bound_goes_through(eviction, monkeypatch):
    monkeypatch.setattr(_postgres_upkeep, "_ALL", 150)
    monkeypatch.setattr(_postgres_upkeep, "_RUNS", 32)
    clock = Clock()
    async with made(clock, max_size=200, eviction=eviction, front_size=0) as backend:
        for turn in range(10):
            clock.now += 10
            items = [(f"k{turn}-{n}", CacheEntry("p", n, created_at=clock.now + n / 1000)) for n in range(200)]
            await backend.set_many(items)
            await settled(backend)
            assert 190 <= (await backend.get_stats())["size"] <= 200
        # Samples: not the very oldest, but old ones.
        assert sum(key.startswith("k9-") for key in await keys_of(backend)) > 120


async def test_many_processes_do_not_evict_twice_and_nothing_is_counted_at_each_write():
    clock = Clock()
    backends = [made(clock, max_size=1000, front_size=0)]
    backends += [made(clock, backends[0].schema, max_size=1000, front_size=0) for _ in range(3)]
    await backends[0].set_many((f"k{n}", CacheEntry("p", n, created_at=clock.now)) for n in range(1005))
    await asyncio.gather(*[backend.trim() for backend in backends])
    for backend in backends:
        await settled(backend)
    assert (await backends[0].get_stats())["size"] == 990  # one in a hundred more than must
    assert sum(backend.evictions for backend in backends) == 15
    first = backends[0]
    counted = []
    trim, first._upkeep.trim = first._upkeep.trim, lambda: (counted.append(1), trim())[1]
    for n in range(10):
        await first.set(f"new{n}", CacheEntry("p", n, created_at=clock.now))
    await settled(first)
    assert counted == []
    await first.set("one more", CacheEntry("p", 1, created_at=clock.now))
    await settled(first)
    assert counted == [1]
    assert (await first.get_stats())["size"] == 990
    for backend in backends:
        await backend.close()


async def test_a_write_waits_for_no_eviction_and_none_for_a_writer():
    clock = Clock()
    async with made(clock, max_size=50, front_size=0) as backend:
        await backend.set_many((f"k{n}", CacheEntry("p", n, created_at=clock.now + n)) for n in range(60))
        await settled(backend)
        assert await keys_of(backend) == sorted(f"k{n}" for n in range(10, 60))
        pool = await backend._link.pools.get()
        other = await pool.acquire()
        transaction = other.transaction()
        await transaction.start()  # somebody is writing k10 and k11
        await other.execute(f"UPDATE \"{backend.schema}\".entries SET cost_usd = 1 WHERE key IN ('k10', 'k11')")
        await backend.set("new", CacheEntry("p", 1, created_at=clock.now + 100))
        await settled(backend)
        found = await keys_of(backend)
        assert len(found) == 50 or "k10" in found
        await transaction.rollback()
        pool.release(other)
        assert await backend.trim() + (await backend.get_stats())["size"] - 50 in (0, 1)
        assert (await backend.get_stats())["size"] == 50


async def test_the_front_forgets_what_was_evicted():
    clock = Clock()
    async with made(clock, max_size=2) as backend:
        await backend.set("a", CacheEntry("a", "a", created_at=clock.now))
        await backend.set("b", CacheEntry("b", "b", created_at=clock.now + 1))
        await settled(backend)
        backend.front.put("a", await backend.get("a"), backend.front.generation)
        clock.now += 5
        await backend.get("b")
        backend._upkeep._used.pop(next(iter(backend._upkeep._used)))  # as if another process had read it
        await backend.set("c", CacheEntry("c", "c", created_at=clock.now))
        assert len(backend.front) == 1
        await settled(backend)
        assert await keys_of(backend) == ["b", "c"]
        assert len(backend.front) == 0


async def test_a_trim_that_fails_harms_no_write_and_the_next_one_does_it(caplog):
    clock = Clock()
    async with made(clock, max_size=2, front_size=0) as backend:
        await backend.set_many((f"k{n}", CacheEntry("p", n, created_at=clock.now + n)) for n in range(2))
        await settled(backend)
        statement = backend._link.schema.weights
        backend._link.schema.weights = "SELECT 1 / 0"
        await backend.set("k2", CacheEntry("p", 2, created_at=clock.now + 2))
        await settled(backend)
        assert await keys_of(backend) == ["k0", "k1", "k2"]
        with pytest.raises(CacheBackendError, match="DivisionByZeroError"):
            await backend.trim()
        backend._link.schema.weights = statement
        await backend.set("k3", CacheEntry("p", 3, created_at=clock.now + 3))
        await settled(backend)
        assert await keys_of(backend) == ["k2", "k3"]


@pytest.mark.parametrize(
    ("options", "named"),
    [({"max_size": 0}, "max_size=0"), ({"max_size": -1}, "max_size=-1"), ({"eviction": "x"}, "eviction='x'")],
)
def test_bad_bounds_are_named(options, named):
    with pytest.raises(ValueError, match=named):
        PostgresBackend("postgresql://localhost/d", **options)


def test_bounds_in_a_url():
    backend = backend_from_url("postgresql://localhost/d?max_size=70&eviction=cost")
    assert (backend.max_size, backend.eviction) == (70, "cost")
    with pytest.raises(TypeError, match="max_size='70'"):
        PostgresBackend("postgresql://localhost/d", max_size="70")
