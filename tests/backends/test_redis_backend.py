"""What `RedisBackend` promises beyond the contract, on real servers, in each of its ways."""

import asyncio
import logging
import time

import numpy as np
import pytest
import redis
import redis.asyncio
from faults import Proxy
from redis_servers import CLUSTERED, LIMITS, WAYS, X, entry, make, near, near_key, own_prefix, server_url
from scripts.servers.redis import RedisCluster, RedisServer

from semantic_llm_cache.backends import RedisBackend
from semantic_llm_cache.backends.redis.entries import slot_of
from semantic_llm_cache.cli.reading import find_entry
from semantic_llm_cache.exceptions import CacheBackendError


def raw_client(way):
    return redis.asyncio.Redis.from_url(server_url(way), protocol=2)


async def keys_of(client, backend):
    return sorted([key async for key in client.scan_iter(match=backend.prefix + "*", count=1000)])


async def counted(backend, key):
    """Return an entry with the hits that were counted since it was stored."""
    (found,) = await backend.get_many([key], touch=False)
    return found


# ------------------------------------------------------------------------------ which way


@pytest.mark.parametrize("kind", WAYS)
async def test_the_server_is_asked_once_what_it_can_do(kind, caplog):
    with RedisServer(kind) as server:
        backend = RedisBackend(server.url)
        assert backend.way is None
        with caplog.at_level(logging.INFO, "semantic_llm_cache"):
            assert await backend.ping() is True
            await backend.ping()
            await asyncio.gather(*[backend.get("k") for _ in range(5)])
        assert backend.way == kind
        told = [record.getMessage() for record in caplog.records if "near entries are found by" in record.getMessage()]
        assert len(told) == 1
        if kind == "search":  # indexes cover database 0 only
            second = RedisBackend(server.url.replace("/0", "/1"))
            await second.set("k", entry())
            assert second.way == "vectorset"
            assert await near_key(second) == "k"
            assert await near_key(backend) is None
            await second.close()
        await backend.close()


async def test_a_way_that_the_server_has_not_is_said():
    with RedisServer("plain") as server:
        backend = RedisBackend(server.url, search="vectorset")
        with pytest.raises(CacheBackendError, match=r"[Uu]nknown.*command.*what it has"):
            await backend.set("k", entry())
        await backend.close()


async def test_a_cluster_whose_nodes_only_load_the_module_is_not_searched_by_it():
    cluster = RedisCluster("search")
    cluster.start()
    try:
        prefixes = [f"p{number}:" for number in range(12)]
        # Which node holds the name that is asked for follows from the prefix: each of the three has its turn.
        assert {slot_of(f"{prefix}1:nothing".encode()) // 5461 for prefix in prefixes} >= {0, 1, 2}
        for prefix in prefixes:
            backend = RedisBackend(cluster.url, prefix=prefix, front_size=0)
            await backend.set("k", entry())
            assert backend.way == "vectorset"
            assert (await backend.get("k")).response == "That."
            assert await near_key(backend) == "k"
            await backend.close()
            named = RedisBackend(cluster.url, prefix=prefix, search="search")
            for use in (named.ping(), named.set("k", entry()), named.get("k")):
                with pytest.raises(CacheBackendError, match=r"search='search'.*'auto'.*'vectorset'"):
                    await use
            await named.close()
    finally:
        cluster.stop()


@pytest.mark.parametrize("way", WAYS)
async def test_each_operation_takes_one_round_trip(way):
    with RedisServer(way) as server, Proxy(server.port) as proxy:
        backend = RedisBackend(f"redis://127.0.0.1:{proxy.port}", search=way)
        other = RedisBackend(server.url, search=way)
        await backend.set("warm", entry(embedding=near(0.1)))
        await backend.get("warm")
        await near_key(backend)
        await backend.record_hits({"warm": 1}, 1.0)
        await backend.add_counters("n", {"a": 1})
        await backend.delete("nothing")
        await until(lambda: done(backend))
        await backend.get_many(["warm"])  # a server keeps a script from its first use on

        async def trips(awaitable):
            before = proxy.round_trips
            result = await awaitable
            return proxy.round_trips - before, result

        assert (await trips(backend.set("k", entry())))[0] == 1
        count, found = await trips(backend.get("k"))
        assert (count, found.response) == (1, "That.")
        assert await trips(near_key(backend)) == (1, "k")
        assert await trips(near_key(backend, -X, 0.9)) == (1, None)
        assert (await trips(backend.get_many(["k", "warm", "x"])))[0] == 1
        assert (await trips(backend.record_hits({"k": 2, "warm": 1}, 5.0)))[0] == 1
        assert (await trips(backend.add_counters("n", {"a": 1, "b": 2})))[0] == 1
        assert await trips(backend.delete("k")) == (1, True)
        # What another process has written elsewhere costs nothing more, here once a second look.
        await other.set("far", entry(embedding=near(0.3)))
        await other.set("k2", entry())
        count, key = await trips(near_key(backend))
        assert key == "k2"
        assert count == (3 if way == "plain" else 1)
        assert await trips(near_key(backend)) == (1, "k2")
        await backend.close()
        await other.close()


# --------------------------------------------------------------------- time, hits, the gone


@pytest.mark.parametrize("way", WAYS)
async def test_nothing_but_a_write_touches_the_time_to_live(way):
    backend, client = make(way), raw_client(way)
    await backend.set("k", entry(ttl=60.0))
    await backend.set("ever", entry(ttl=None, embedding=near(0.2)))

    async def left():
        found = {}
        for name in await keys_of(client, backend):
            if b":e:" in name:
                found[name.split(b"}")[1]] = await client.pttl(name)
        return found

    first = await left()
    assert 50_000 < first[b"k"] <= 60_000
    assert first[b"ever"] == -1
    await backend.get("k")
    await near_key(backend)
    await backend.record_hits({"k": 3, "ever": 1}, time.time())
    later = await left()
    assert later[b"k"] <= first[b"k"]
    assert later[b"ever"] == -1
    assert (await counted(backend, "k")).hit_count == 3
    # A counted hit brings no dead entry back and outlives none.
    await backend.delete("k")
    await backend.record_hits({"k": 1}, time.time())
    assert await backend.get("k") is None
    assert await backend.get_stats() | {"size": 1} == await backend.get_stats()
    await backend.set("k", entry(ttl=None))
    assert (await left())[b"k"] == -1
    assert (await counted(backend, "k")).hit_count == 0
    await backend.close()
    await client.aclose()


@pytest.mark.parametrize("way", WAYS)
async def test_what_expires_on_the_server_hides_nothing(way):
    with RedisServer(way, ["--enable-debug-command", "yes"]) as server:
        backend = RedisBackend(server.url, search=way)
        client = redis.asyncio.Redis.from_url(server.url, protocol=2)
        await client.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
        await backend.set_many([(f"short{n}", entry(ttl=0.3, embedding=near(0.99))) for n in range(60)])
        await backend.set("long", entry(embedding=near(0.95)))
        await near_key(backend)
        await asyncio.sleep(0.35)
        assert await near_key(backend) == "long"
        assert [key for key, _ in await backend.iterate()] == ["long"]
        await client.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "1")

        async def rest():
            return (await client.info("keyspace"))["db0"]["expires"] <= 40

        await until(rest)
        assert await near_key(backend) == "long"
        assert (await backend.get_stats())["size"] == 1
        await backend.close()
        await client.aclose()


@pytest.mark.parametrize(("server", "way"), CLUSTERED)
async def test_an_entry_that_the_server_removed_is_no_ghost(server, way):
    backend = make(way, server)
    await backend.set_many([(f"k{n}", entry(embedding=near(0.9 + n / 100))) for n in range(8)])
    assert await near_key(backend) == "k7"
    for n in (7, 6, 5):  # as eviction does: the entry's key alone
        await backend._link.execute("UNLINK", backend._way.names.entry(f"k{n}".encode()))
    assert await near_key(backend) == "k4"
    assert len(await backend.find_candidates(X, 0.5, k=8, **LIMITS)) == 5
    if way == "vectorset":
        names = [backend._way.names.other("v", n, _place()) for n in range(backend._way.names.shards)]

        async def swept():  # in the background
            return sum([await backend._link.execute("VCARD", name) for name in names]) == 5

        await until(swept)
        assert await near_key(backend) == "k4"
        await backend.set("k7", entry())  # one that comes back is not swept away
        await backend._way.sweep()
        assert await near_key(backend) == "k7"
    await backend.close()


def _place():
    from semantic_llm_cache.backends.redis.entries import place_of

    return place_of("s", "e", 8)


async def test_vector_sets_forget_the_dead_without_being_asked():
    backend, client = make("vectorset"), raw_client("vectorset")
    await backend.set_many([(f"k{n}", entry(embedding=near(n / 100))) for n in range(60)])
    name = backend._way.names.other("v", 0, _place())
    assert 0 < await client.pttl(name) <= 60_000
    for n in range(60):
        await client.unlink(backend._way.names.entry(f"k{n}".encode()))
    for n in range(100):
        await backend.set("new", entry(embedding=near(n / 100)))
    assert await client.execute_command("VCARD", name) < 10
    await backend.set("long", entry(ttl=1000.0))
    assert await client.pttl(name) > 900_000
    await backend.set("ever", entry(ttl=None))
    assert await client.pttl(name) == -1
    await backend.close()
    await client.aclose()


@pytest.mark.parametrize("way", WAYS)
async def test_eviction_leaves_no_ghosts(way):
    options = ["--maxmemory", "12mb", "--maxmemory-policy", "allkeys-lru"]
    with RedisServer(way, options) as server:
        backend = RedisBackend(server.url, search=way, front_size=0)
        rng = np.random.default_rng(3)
        rows = rng.standard_normal((1500, 32)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        answer = "x" * 16_000
        for n in range(0, 1500, 100):
            await backend.set_many(
                [(f"k{m}", entry(f"prompt {m}", f"{m} {answer}", rows[m])) for m in range(n, n + 100)]
            )
        size = (await backend.get_stats())["size"]
        assert 0 < size < 1000
        hits = 0
        for n in range(1400, 1500):
            found = await backend.find_candidates(rows[n], 0.99, k=2, **LIMITS)
            if found:
                assert found[0].key == f"k{n}"
                assert found[0].entry.response.startswith(f"{n} ")
                hits += 1
        # A server may evict a whole vector set, and near hits begin anew; else what is there is found.
        assert hits > 50 or way == "vectorset"
        await backend.close()


# ------------------------------------------------------------------------ several processes


@pytest.mark.parametrize(("server", "way"), CLUSTERED)
async def test_changes_of_another_process_are_seen_at_once(server, way):
    one, other = make(way, server), make(way, server)
    other.prefix = one.prefix
    assert await near_key(one) is None
    assert await near_key(other) is None
    await one.set("a", entry("A", embedding=near(0.9)))
    assert await near_key(other) == "a"
    await other.set("b", entry("B", embedding=near(0.95)))
    assert await near_key(one) == "b"
    await other.set("b", entry("B", embedding=near(0.6)))  # moved away
    assert await near_key(one) == "a"
    await other.set("b", entry("B", scope="elsewhere"))
    assert await near_key(one) == "a"
    assert await near_key(one, scope="elsewhere", embedder="e") == "b"
    await one.set("b", entry("B", embedding=None))
    assert await near_key(other, scope="elsewhere", embedder="e") is None
    assert await one.delete("a")
    assert await near_key(other) is None
    assert await other.clear() == 1
    assert await near_key(one) is None
    await one.close()
    await other.close()


def test_processes_of_their_own_and_a_fork(run_script):
    prefix = own_prefix()
    backend = make("vectorset", prefix=prefix)
    asyncio.run(backend.set("k", entry(embedding=near(0.9))))
    script = """
        import asyncio, os, sys
        import numpy as np
        from semantic_llm_cache.backends import RedisBackend
        from semantic_llm_cache.config import CacheEntry
        url, prefix, way = sys.argv[1:]
        backend = RedisBackend(url, prefix=prefix, search=way)
        x = np.eye(8, dtype=np.float32)[0]
        async def work(name):
            found = await backend.find_candidates(x, 0.5, k=9, scope="s", embedder="e")
            await backend.set(name, CacheEntry(name, name, x, scope="s", embedder="e"))
            return sorted(c.key for c in found)
        first = asyncio.run(work("parent"))
        loop = asyncio.new_event_loop()      # a loop with open connections is carried over the fork
        loop.run_until_complete(work("loop"))
        pid = os.fork()
        if pid == 0:
            found = asyncio.run(work("child"))
            os._exit(0 if found[-1] == "parent" else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        print(first, loop.run_until_complete(work("last")))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        """
    said = run_script(script, server_url("vectorset"), prefix, "vectorset")
    assert said.strip() == "['k'] ['child', 'k', 'loop', 'parent']"
    asyncio.run(backend.close())
    said = run_script(script, server_url("plain"), own_prefix(), "plain")
    assert said.strip() == "[] ['child', 'loop', 'parent']"


async def test_a_copy_that_has_missed_changes_is_read_anew():
    writer, reader = make("plain"), make("plain")
    reader.prefix = writer.prefix
    client = raw_client("plain")
    await writer.set("a", entry(embedding=near(0.8)))
    assert await near_key(reader) == "a"
    loads = (await reader.get_stats())["index_loads"]
    await writer.set("b", entry(embedding=near(0.9)))
    await writer.set("c", entry(embedding=near(0.7)))
    await client.xtrim(writer._way.names.other("stream", 0), maxlen=1, approximate=False)
    await until(near_key, reader, expected="b")
    assert (await reader.get_stats())["index_loads"] == loads + 1
    # The log itself is gone, and begins again.
    await client.delete(writer._way.names.other("log", 0), writer._way.names.other("stream", 0))
    await writer.set("d", entry(embedding=near(0.99)))
    await until(near_key, reader, expected="d")
    # Only the stream: its numbers go on from where they were.
    await client.delete(writer._way.names.other("stream", 0))
    await writer.set("e", entry())
    await until(near_key, reader, expected="e")
    # Everything.
    for name in await keys_of(client, writer):
        await client.delete(name)
    assert await near_key(reader) is None
    await writer.set("f", entry())
    await until(near_key, reader, expected="f")
    await writer.close()
    await reader.close()
    await client.aclose()


async def done(backend):
    return not backend._link._jobs


async def until(ask, *arguments, expected=True):
    end = time.monotonic() + 10
    while await ask(*arguments) != expected:
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


# ------------------------------------------------------------------------------- clusters


async def test_a_cluster_shares_the_keys_out():
    backend = make("vectorset", "cluster")
    await backend.set_many([(f"k{n}", entry(embedding=near(n / 200), tags=("t",))) for n in range(120)])
    counts = []
    for node in await backend._link.primaries():
        _, keys = await node("SCAN", 0, "MATCH", backend._way.names.pattern(), "COUNT", 10_000)
        counts.append(len(keys))
    assert sum(counts) == 120
    assert min(counts) > 15
    assert (await backend.get_stats())["shards"] == 6
    found = await backend.find_candidates(X, 0.0, k=10, **LIMITS)
    assert [candidate.key for candidate in found] == [f"k{n}" for n in range(119, 109, -1)]
    assert len(await backend.iterate()) == 120
    assert await backend.invalidate(tags=["t"]) == 120
    await backend.close()


async def test_one_node_is_enough_to_be_led_to_the_others_and_a_plain_address_is_told_better():
    first = server_url("cluster").split(",")[0]
    backend = RedisBackend(first, prefix=own_prefix(), search="vectorset")
    await backend.set_many([(f"k{n}", entry()) for n in range(20)])
    assert (await backend.get_stats())["size"] == 20
    lone = RedisBackend(first.replace("redis+cluster", "redis"), prefix=backend.prefix, search="vectorset")
    with pytest.raises(CacheBackendError, match=r"redis\+cluster://"):
        await lone.set_many([(f"k{n}", entry()) for n in range(20)])
    await backend.close()
    await lone.close()


async def test_the_number_of_shards_stays_with_the_data(caplog):
    one = make("vectorset", shards=4)
    await one.set_many([(f"k{n}", entry()) for n in range(20)])
    other = make("vectorset", prefix=one.prefix, shards=9)
    assert len(await other.find_candidates(X, 0.5, k=50, **LIMITS)) == 20
    assert "shards=9 is not used" in caplog.text
    assert (await other.get_stats())["shards"] == 4
    await one.close()
    await other.close()


# --------------------------------------------------------------------------------- recall


@pytest.mark.parametrize("way", ["search", "vectorset"])
async def test_the_nearest_is_found(way):
    """Of 200 nearest neighbours among 2,000 vectors, at least 99 % are found, with their own cosines."""
    from benchmarks.data import clustered, reworded

    rows = clustered(2000)[:, :96].copy()
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    backend = make(way)
    await backend.set_many([(f"{n}", entry(f"{n}", n, rows[n])) for n in range(2000)])
    queries = reworded(rows[:200])
    scores = queries @ rows.T
    right = 0
    for number, query in enumerate(queries):
        ((_, found, cosine),) = await backend.find_candidates(query, 0.3, k=1, **LIMITS)
        assert abs(cosine - float(scores[number, found.response])) < 1e-5
        right += cosine >= float(scores[number].max()) - 1e-6
    assert right >= 198
    await backend.clear()
    await backend.close()


@pytest.mark.parametrize("way", WAYS)
async def test_counts_of_hits_die_with_their_entry(way):
    backend, client = make(way), raw_client(way)
    await backend.set_many([(key, entry(ttl=None if key == "ever" else 60.0)) for key in ("a", "b", "c", "d", "ever")])
    await backend.record_hits(dict.fromkeys(["a", "b", "c", "d", "ever", "gone"], 2), 5.0)
    counts = {key: backend._way.names.hits(0) + key.encode() for key in ("a", "b", "c", "d", "ever", "gone")}
    assert not await client.exists(counts["gone"])
    assert 0 < await client.pttl(counts["a"]) <= await client.pttl(backend._way.names.entry(b"a")) + 100
    assert await client.pttl(counts["ever"]) > 86_400_000  # nor is this one left for ever
    for found in (await counted(backend, "a"), dict(await backend.iterate())["a"]):
        assert (found.hit_count, found.last_accessed) == (2, 5.0)
    await backend.set("e", entry(hit_count=7, last_accessed=3.0))
    await backend.record_hits({"e": 2}, 5.0)
    found = await backend.get("e")  # one command on one key: as it was stored
    assert (found.response, found.hit_count, found.last_accessed) == ("That.", 7, 3.0)
    for found in (await counted(backend, "e"), (await find_entry(backend, "e"))[1]):
        assert (found.hit_count, found.last_accessed) == (9, 5.0)
    await backend.delete("a")
    await backend.set("b", entry())  # another answer: counted anew
    assert (await counted(backend, "b")).hit_count == 0
    await backend.set("c", entry(ttl=-1.0))
    await client.set(counts["d"], "somebody else's")
    assert (await counted(backend, "d")).hit_count == 0
    await backend.record_hits({"d": 1}, 6.0)
    assert (await counted(backend, "d")).hit_count == 1
    assert await client.exists(counts["a"], counts["b"], counts["c"]) == 0
    await backend.clear()
    assert await client.exists(*counts.values()) == 0
    await backend.close()
    await client.aclose()
