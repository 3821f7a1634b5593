"""What PostgreSQL adds to the contract: addresses, odd text, the graph, sweeping, what is shown."""

import asyncio

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from postgres_servers import execute, own_schema, server_url

from semantic_llm_cache.backends import PostgresBackend, backend_from_url
from semantic_llm_cache.backends.postgres.rows import escape, unescape
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.exceptions import CacheBackendError, CacheSerializationError
from semantic_llm_cache.testing import Clock

LIMITS = {"scope": "s", "embedder": "e"}


def made(version=18, **settings):
    url = server_url(version)
    return PostgresBackend(url, schema=own_schema(url), **{"front_size": 0, **settings})


def test_addresses():
    backend = backend_from_url("postgresql://user:secret@h1:5433,h2/app?sslmode=require&pool_max=3&schema=other")
    assert isinstance(backend, PostgresBackend)
    assert backend.url == "postgresql://h1:5433,h2/app"
    assert "secret" not in repr(backend)
    assert (backend.schema, backend._link.names.entries) == ("other", '"other"."entries"')
    assert PostgresBackend("postgres://u:p@[::1]:5432/d").url == "postgresql://[::1]:5432/d"
    assert PostgresBackend("postgresql:///d?host=/run/pg&password=secret").url == "postgresql:///run/pg/d"
    assert PostgresBackend("postgresql://h/d?schema=a", schema="b", prefix="c_").schema == "b"


@pytest.mark.parametrize(
    ("url", "settings", "says"),
    [
        ("mysql://u:hush@h/d", {}, "begins with postgresql://"),
        ("postgresql://u:hush@h/d#x", {}, "%23"),
        ("postgresql://u:hush@h:port/d", {}, "not a host and a port"),
        ("postgresql://u:hush@h/d?pool_max=many", {}, "pool_max must be a number"),
        ("postgresql://u:hush@h/d?prepared_statements=maybe", {}, "yes or no"),
        ("postgresql://u:hush@h/d?pol_max=3", {}, "unknown option 'pol_max'"),
        ("postgresql://u:hush@h/d", {"pool_max": 0}, "pool_max=0 must be"),
        ("postgresql://u:hush@h/d", {"pool_min": 5, "pool_max": 4}, "pool_min=5 must not be more"),
        ("postgresql://u:hush@h/d", {"schema": 'a"b'}, "letters, digits"),
        ("postgresql://u:hush@h/d", {"schema": ""}, "letters, digits"),
        ("postgresql://u:hush@h/d", {"prefix": "1"}, "prefix='1'"),
        ("postgresql://u:hush@h/d", {"timeout": 0}, "timeout=0 must be seconds"),
        ("postgresql://u:hush@h/d", {"exact_limit": 0}, "exact_limit=0"),
        ("postgresql://u:hush@h/d", {"front_size": -1}, "front_size=-1"),
    ],
)
def test_what_is_wrong_is_said(url, settings, says):
    with pytest.raises(ValueError) as caught:
        PostgresBackend(url, **settings)
    assert says in str(caught.value)
    assert "hush" not in str(caught.value)


@given(st.text(st.characters(exclude_categories=[])))
@example("\x00")
@example("\ufdd0\U000f0000")
@example("\ud800x\udc00")
def test_every_text_has_a_form_that_the_server_holds(text):
    stored = escape(text)
    assert "\x00" not in stored
    stored.encode()
    assert unescape(stored) == text


async def test_text_that_postgres_cannot_hold_comes_back():
    backend = made()
    odd = "a\x00b \ud83d half \ufdd0 end"
    entry = CacheEntry(
        odd, ["a\x00b \ufdd0"], np.ones(4), namespace=odd, scope=odd, embedder=odd, tags=(odd,), aliases=(odd,)
    )
    await backend.set(odd, entry)
    assert await backend.get(odd) == entry
    found = await backend.find_candidates(np.ones(4), 0.9, scope=odd, namespace=odd, embedder=odd)
    assert [(one.key, one.entry) for one in found] == [(odd, entry)]
    assert [key for key, _ in await backend.iterate(odd)] == [odd]
    await backend.add_counters(odd, {odd: 1})
    await backend.set_state(odd, b"1")
    assert await backend.get_counters() == {odd: {odd: 1.0}}
    assert await backend.get_state(odd) == b"1"
    assert await backend.invalidate("0000") == 0
    assert await backend.invalidate("A\x00B \ud83d") == 1
    with pytest.raises(CacheSerializationError):
        await backend.set("k", CacheEntry("p", "r", input_tokens=2**80))
    with pytest.raises(CacheSerializationError):
        await backend.set("k", CacheEntry(None, "r"))
    await backend.close()


def clustered(count, dimension, rng):
    centres = rng.standard_normal((max(2, count // 20), dimension))
    rows = centres[rng.integers(len(centres), size=count)] + 0.5 * rng.standard_normal((count, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


async def indexed(backend, dimension):
    for _ in range(3000):  # PostgreSQL waits for all transactions that began before, those of other tests too
        if dimension in backend._link.graphs:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("no index was made")


async def test_a_large_place_is_searched_by_its_graph_a_small_one_beside_it_is_not():
    backend = made(exact_limit=200)
    rng = np.random.default_rng(1)
    vectors = clustered(1500, 32, rng)
    small = clustered(20, 32, rng)
    rows = [(f"k{n}", CacheEntry(str(n), n, v, scope="s", embedder="e")) for n, v in enumerate(vectors)]
    rows += [(f"t{n}", CacheEntry(str(n), n, v, scope="t", embedder="e")) for n, v in enumerate(small)]
    assert await backend.set_many(rows) == 1520
    assert backend._link.graphs == set()

    async def right(backend, data, scope, letter, queries):
        good = 0
        for query in queries:
            found = await backend.find_candidates(query, 0.0, k=5, scope=scope, embedder="e")
            best = np.argsort(-(data @ query))[:5]
            assert [c.similarity for c in found] == sorted((c.similarity for c in found), reverse=True)
            good += len({c.key for c in found} & {f"{letter}{n}" for n in best})
        return good / (5 * len(queries))

    queries = clustered(40, 32, rng)
    assert await right(backend, vectors, "s", "k", queries[:3]) == 1.0  # without an index, all are compared
    await indexed(backend, 32)
    assert await right(backend, vectors, "s", "k", [*queries, *vectors[:40]]) >= 0.98
    assert await right(backend, small, "t", "t", queries) == 1.0
    plan = await execute(
        server_url(), f'SET search_path = "{backend.schema}", public', "LOAD 'vector'", "SET enable_seqscan = off",
        "EXPLAIN SELECT key FROM entries WHERE dimension = 32 ORDER BY (vector::vector(32)) <#> "
        f"'{vectors[0].tolist()}'::vector(32) LIMIT 5",
    )  # fmt: skip
    assert "entries_graph_32" in str(plan)
    # Another process finds the index there; so does one whose place has become small meanwhile.
    other = PostgresBackend(server_url(), schema=backend.schema, exact_limit=200, front_size=0)
    assert await right(other, vectors, "s", "k", queries) >= 0.98
    assert other._link.graphs == {32}
    assert await backend.delete_many(f"k{n}" for n in range(3, 1500)) == 1497
    for one in (backend, other):
        found = await one.find_candidates(queries[0], 0.0, k=8, **LIMITS)
        assert {c.key for c in found} == {"k0", "k1", "k2"}
        assert await right(one, small, "t", "t", queries) == 1.0
    assert (await backend.get_stats())["indexed_dimensions"] == [32]
    await backend.close()
    await other.close()


async def test_an_index_that_was_left_half_made_is_made_again():
    backend = made(16, exact_limit=10)
    rng = np.random.default_rng(2)
    vectors = clustered(60, 8, rng)
    await backend.set_many((f"k{n}", CacheEntry("", n, v, **LIMITS)) for n, v in enumerate(vectors))
    await execute(
        server_url(16), f'SET search_path = "{backend.schema}", public',
        "CREATE INDEX entries_graph_8 ON entries USING hnsw ((vector::vector(8)) vector_ip_ops) WHERE dimension = 8",
        f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{backend.schema}.entries_graph_8'::regclass",
    )  # fmt: skip
    assert (await backend.find_candidates(vectors[3], 0.99, k=1, **LIMITS))[0].key == "k3"
    await indexed(backend, 8)
    assert (await backend.find_candidates(vectors[3], 0.99, k=1, **LIMITS))[0].key == "k3"
    await backend.close()


async def test_long_vectors():
    backend = made(exact_limit=3)
    rng = np.random.default_rng(3)
    for dimension in (2000, 3072, 5000):
        vectors = clustered(8, dimension, rng)
        await backend.set_many((f"{dimension}-{n}", CacheEntry("", n, v, **LIMITS)) for n, v in enumerate(vectors))
        for _ in range(2):
            found = await backend.find_candidates(vectors[5], 0.99, k=1, **LIMITS)
            assert [one.key for one in found] == [f"{dimension}-5"]
            assert found[0].similarity > 1 - 1e-6
            if dimension <= 4000:
                await indexed(backend, dimension)
    assert backend._link.graphs == {2000, 3072}
    await backend.close()


async def test_what_is_long_expired_is_swept_in_batches():
    clock = Clock()
    backend = made(clock=clock)
    await backend.set("ever", CacheEntry("", 0, created_at=clock.now))
    await backend.set_many((f"k{n}", CacheEntry("", n, created_at=clock.now, ttl=10)) for n in range(1200))
    await backend.record_hits({"k1": 1}, clock.now)
    clock.now += 30
    assert await backend.sweep() == 0  # another machine's clock may be behind
    clock.now += 60
    assert await backend.sweep() == 1200
    count = f'SELECT (SELECT count(*) FROM "{backend.schema}".entries), (SELECT count(*) FROM "{backend.schema}".hits)'
    assert tuple((await execute(server_url(), count))[0]) == (1, 0)
    assert (await backend.get_stats())["expired"] == 1200
    # A write starts it too.
    await backend.set("short", CacheEntry("", 1, created_at=clock.now, ttl=1))
    clock.now += 100
    backend._upkeep._next_sweep = 0.0
    await backend.set("other", CacheEntry("", 1, created_at=clock.now))
    await asyncio.gather(*backend._tasks)
    assert (await execute(server_url(), count))[0][0] == 2
    await backend.close()


async def test_hits_belong_to_the_entry_they_were_counted_for():
    backend = made()
    await backend.set("k", CacheEntry("p", 1))
    await backend.record_hits({"k": 3}, 5.0)
    await asyncio.gather(*[backend.record_hits({"k": 1, f"k{n}": 1}, 6.0) for n in range(20)])
    assert (await backend.get_many(["k"], touch=False))[0].hit_count == 23
    await backend.set("k", CacheEntry("p", 2, hit_count=7))
    (again,) = await backend.get_many(["k"], touch=False)
    assert (again.hit_count, again.last_accessed) == (7, None)
    await backend.delete("k")
    await backend.set("k", CacheEntry("p", 3))
    assert (await backend.get_many(["k"], touch=False))[0].hit_count == 0
    await backend.close()


async def test_clear_goes_in_steps_when_a_statement_is_under_way():
    import asyncpg

    backend = made()
    await backend.set_many((f"k{n}", CacheEntry("", n)) for n in range(4500))
    reader = await asyncpg.connect(server_url())
    transaction = reader.transaction()
    await transaction.start()
    await reader.fetch(f'SELECT 1 FROM "{backend.schema}".entries LIMIT 1')
    assert await backend.clear() == 4500
    await transaction.rollback()
    await reader.close()
    await backend.set("k", CacheEntry("", 1))
    assert await backend.clear() == 1
    await backend.close()


async def test_own_writes_drop_what_the_front_holds():
    backend = made(front_size=100, front_seconds=60.0)
    other = PostgresBackend(server_url(), schema=backend.schema)
    for change in (
        lambda: backend.set("k", CacheEntry("p", 2)),
        lambda: backend.set_many([("k", CacheEntry("p", 3))]),
        lambda: backend.delete("k"),
        lambda: backend.delete_many(["k"]),
        lambda: backend.clear(),
        lambda: backend.clear("default"),
        lambda: backend.invalidate("p"),
    ):
        await other.set("k", CacheEntry("p", 1))
        backend.front.put("k", await backend.get("k"), backend.front.generation)
        assert backend.front.get("k") is not None
        await change()
        assert backend.front.get("k") is None
    await backend.close()
    await other.close()


async def test_a_read_under_way_is_not_kept_after_a_write_also_by_an_empty_front():
    entry = CacheEntry("2+2?", "5", embedding=np.eye(4, dtype=np.float32)[0])
    async with made(front_size=8, front_seconds=60) as backend:
        lease = await backend.acquire_lease("k", "token", 10.0)
        for write in (
            lambda: backend.set_leased(lease, entry),
            lambda: backend.set("k", entry),
            lambda: backend.set_many([("k", entry)]),
            lambda: backend.set_vectors([("k", "2+2?", [1.0, 2.0])], "e"),
            lambda: backend.delete("k"),
            lambda: backend.invalidate("2+2"),
            lambda: backend.clear(),
        ):
            began = backend.front.generation
            await write()
            backend.front.put("k", CacheEntry("2+2?", "4"), began)  # was read before the write
            assert backend.front.get("k") is None


async def test_two_caches_share_a_schema_by_prefix():
    url = server_url()
    schema = own_schema(url)
    one, two = (PostgresBackend(url, schema=schema, prefix=prefix) for prefix in ("", "two_"))
    await asyncio.gather(one.set("k", CacheEntry("p", 1)), two.set("k", CacheEntry("p", 2)))
    assert [(await b.get("k")).response for b in (one, two)] == [1, 2]
    assert await one.clear() == 1
    assert (await two.get_stats())["size"] == 1
    await one.close()
    await two.close()


async def test_without_the_package_it_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(CacheBackendError, match="pip install asyncpg"):
        PostgresBackend("postgresql://h/d")
