"""What happens when the server is killed, frozen, full, read-only, replaced, or holds what is not ours."""

import asyncio
import contextlib
import logging
import signal

import pytest
import redis.asyncio
from faults import LIMITS, Load, Numbers, Proxy, X, entry, eventually
from redis_servers import own_prefix, server_url
from scripts.servers.redis import RedisServer

from semantic_llm_cache import Request, SemanticCache
from semantic_llm_cache.backends import RedisBackend
from semantic_llm_cache.exceptions import CacheBackendError

WAYS = ["search", "vectorset", "plain"]
AT_ONCE = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"]


@pytest.mark.parametrize("way", WAYS)
async def test_a_server_killed_under_load_and_started_again(way, caplog):
    server = RedisServer(way)
    server.start()
    try:
        backend = RedisBackend(server.url, search=way, front_size=0, timeout=1.0)
        async with Load(backend) as load:
            await load.served()
            server.kill()
            await load.more(40)
            assert load.open
            server.start()  # empty now
            calls = load.calls
            await load.served()
            assert load.calls > calls
            assert not load.open
        told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        outages = [text for text in told if " failed (" in text]
        assert 1 <= len(outages) <= 3  # reading, searching, writing: once each
        assert len(set(outages)) == len(outages)
        await backend.close()
    finally:
        server.stop()


async def test_a_frozen_server():
    with RedisServer("vectorset") as server:
        backend = RedisBackend(server.url, front_size=0, timeout=0.3, connect_timeout=0.3)
        await backend.set("k", entry())
        async with Load(backend) as load:
            await load.served()
            server.freeze()
            await load.more(40)
            assert load.open
            with pytest.raises(CacheBackendError, match=r"no answer in time.*frozen"):
                await backend.get("k")
            server.thaw()
            await load.served()
            assert not load.open
        assert (await backend.get("k")).response == "That."
        await backend.close()


@pytest.mark.parametrize("way", WAYS)
async def test_a_connection_cut_in_the_middle_of_a_reply(way):
    with RedisServer(way) as server, Proxy(server.port) as proxy:
        backend = RedisBackend(f"redis://127.0.0.1:{proxy.port}", search=way, front_size=0)
        await backend.set("k", entry("a long answer " * 500))
        await backend.set("k2", entry("another " * 500, -X))
        await backend.find_candidates(X, 0.9, **LIMITS)  # what happens in the background has happened
        await asyncio.sleep(0.1)
        for cut in (0, 1, 7, 300, 4000):
            proxy.cut_after = cut
            assert (await backend.get("k")).response == "a long answer " * 500
            proxy.cut_after = cut
            found = await backend.find_candidates(X, 0.9, **LIMITS)
            assert [(one.key, one.entry.response) for one in found] == [("k", "a long answer " * 500)]
            proxy.cut_after = cut
            await backend.set("k3", entry(cut, -X))
            assert (await backend.get("k3")).response == cut
        assert proxy.cuts == 15
        await backend.close()


@pytest.mark.parametrize("way", WAYS)
async def test_a_full_server(way):
    with RedisServer(way) as server:
        backend = RedisBackend(server.url, search=way, front_size=0)
        client = redis.asyncio.Redis.from_url(server.url, protocol=2)
        await backend.set("old", entry("old"))
        used = (await client.info("memory"))["used_memory"]
        await client.config_set("maxmemory", used - 1000)
        for key in ("new", "old"):
            with pytest.raises(CacheBackendError, match=r"OOM.*raise its maxmemory"):
                await backend.set(key, entry("new", embedding=-X))
        assert await backend.get("new") is None
        assert (await backend.get("old")).response == "old"
        assert [c.key for c in await backend.find_candidates(X, 0.9, **LIMITS)] == ["old"]
        assert await backend.find_candidates(-X, 0.9, **LIMITS) == []
        engine = SemanticCache(backend, embedder=Numbers(), similarity=0.95)

        async def call():
            return "computed"

        assert await engine.get_or_call(Request(text="about 1"), call) == "computed"
        assert await backend.delete("old")
        await client.config_set("maxmemory", 0)
        await backend.set("new", entry("new"))
        assert [c.key for c in await backend.find_candidates(X, 0.9, **LIMITS)] == ["new"]
        await backend.close()
        await client.aclose()


@pytest.mark.parametrize("way", WAYS)
async def test_a_replica_that_only_reads(way):
    with RedisServer(way, AT_ONCE) as primary:
        replica = RedisServer(way, ["--replicaof", f"127.0.0.1 {primary.port}"])
        with replica:
            writing = RedisBackend(primary.url, search=way)
            await writing.set("k", entry())
            reading = RedisBackend(replica.url, search=way, front_size=0)

            async def arrived():
                return await reading.get("k") is not None and bool(await reading.find_candidates(X, 0.9, **LIMITS))

            await eventually(arrived)
            with pytest.raises(CacheBackendError, match=r"READONLY.*use the primary's address"):
                await reading.set("k", entry("other"))
            with pytest.raises(CacheBackendError, match="READONLY"):
                await reading.delete("k")
            assert (await reading.get("k")).response == "That."
            await writing.close()
            await reading.close()


@pytest.mark.parametrize("way", WAYS)
async def test_what_is_not_ours_or_is_damaged_is_a_miss_and_a_warning(way, caplog, monkeypatch):
    monkeypatch.setattr("semantic_llm_cache.backends.damage._EVERY", 0.0)
    backend = RedisBackend(server_url(way), prefix=own_prefix(), search=way, front_size=0)
    client = redis.asyncio.Redis.from_url(server_url(way), protocol=2)
    await backend.set_many([(key, entry(key)) for key in ("good", "typed", "cut", "flipped", "vector", "foreign")])
    name = {key: backend._way.names.entry(key.encode()) for key in ("typed", "cut", "flipped", "vector", "foreign")}
    await client.delete(name["typed"])
    await client.lpush(name["typed"], "a list")
    data = await client.hget(name["cut"], "d")
    await client.hset(name["cut"], "d", data[:-3])
    data = bytearray(await client.hget(name["flipped"], "d"))
    data[-2] ^= 1
    await client.hset(name["flipped"], "d", bytes(data))
    await client.hset(name["vector"], "v", (-X).tobytes())
    await client.hset(name["foreign"], mapping={"d": "hello"})
    for key in name:
        caplog.clear()
        assert await backend.get(key) is None, key
        assert "is damaged and left out" in caplog.text
        caplog.clear()
        assert await backend.get(key) is None
        assert not caplog.records  # once is enough
    assert [key for key, _ in await backend.iterate()] == ["good"]
    assert await backend.get_many(["typed", "good"]) == [None, await backend.get("good")]
    found = await backend.find_candidates(X, 0.9, k=1, **LIMITS)
    assert [one.key for one in found] == ["good"]
    await backend.record_hits(dict.fromkeys(name, 1), 1.0)
    # They are replaced, or removed, as if nothing were.
    await backend.set_many([(key, entry(key + "!")) for key in name])
    assert [e.response for e in await backend.get_many(list(name))] == [key + "!" for key in name]
    assert len(await backend.find_candidates(X, 0.9, k=9, **LIMITS)) == 6
    await client.delete(name["typed"])
    await client.set(name["typed"], "text")
    assert await backend.delete("typed") is False
    assert await client.exists(name["typed"]) == 0
    for what in ("v", "log", "stream", "sets"):  # other things of ours, taken by another program
        for place in ("", f"{'0' * 32}"):
            await client.set(backend._way.names.other(what, 0, place), "text")
    if way == "vectorset":
        from semantic_llm_cache.backends.redis.entries import place_of

        vectors = backend._way.names.other("v", 0, place_of("s", "e", 8))
        await client.set(vectors, "text")
        caplog.clear()
        assert await backend.find_candidates(X, 0.9, **LIMITS) == []
        assert "something else under the name of a vector set" in caplog.text
        await backend.set("back", entry())
        assert [c.key for c in await backend.find_candidates(X, 0.9, **LIMITS)] == ["back"]
    await backend.close()
    await client.aclose()


@pytest.mark.parametrize("way", WAYS)
async def test_entries_of_another_version_are_misses(way, caplog, monkeypatch):
    from semantic_llm_cache.backends.redis import entries as _redis_entries

    backend = RedisBackend(server_url(way), prefix=own_prefix(), search=way, front_size=0)
    await backend.set("schema", entry(schema_version=2))
    monkeypatch.setattr(_redis_entries, "_VERSION", 2)
    await backend.set("form", entry())
    monkeypatch.undo()
    for key in ("schema", "form"):
        assert await backend.get(key) is None
    assert await backend.find_candidates(X, 0.5, **LIMITS) == []
    assert await backend.iterate() == []
    # A version with another layout of keys does not meet ours at all.
    monkeypatch.setattr(_redis_entries, "LAYOUT", "2")
    later = RedisBackend(server_url(way), prefix=backend.prefix, search=way, front_size=0)
    await later.set("k", entry("later"))
    monkeypatch.undo()
    assert await backend.get("k") is None
    await backend.set("k", entry("now"))
    assert (await later.get("k")).response == "later"
    assert await backend.clear() <= 3
    assert (await later.find_candidates(X, 0.9, **LIMITS))[0].entry.response == "later"
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    await backend.close()
    await later.close()


@pytest.mark.parametrize("way", WAYS)
async def test_scripts_and_data_flushed_by_somebody_else(way):
    with RedisServer(way) as server:
        backend = RedisBackend(server.url, search=way, front_size=0)
        client = redis.asyncio.Redis.from_url(server.url, protocol=2)
        await backend.set("k", entry())
        await backend.find_candidates(X, 0.9, **LIMITS)
        for flush in (client.script_flush, client.flushall):
            await flush()
            assert (await backend.get("k") is None) == (flush == client.flushall)
            await backend.find_candidates(X, 0.9, **LIMITS)
            await backend.set("k", entry())
            await backend.record_hits({"k": 1}, 1.0)
            assert (await backend.get_many(["k"]))[0].hit_count == 1

            async def found():
                return [c.key for c in await backend.find_candidates(X, 0.9, **LIMITS)] == ["k"]

            await eventually(found)
            await client.script_flush()
            assert await backend.delete("k")
            await backend.set("k", entry())
        await backend.close()
        await client.aclose()


async def test_a_failover_led_by_a_sentinel(tmp_path):
    with contextlib.ExitStack() as servers:
        primary = servers.enter_context(RedisServer("vectorset", AT_ONCE))
        replica = servers.enter_context(RedisServer("vectorset", ["--replicaof", f"127.0.0.1 {primary.port}"]))
        settings = tmp_path / "sentinel.conf"
        settings.write_text(
            f"sentinel monitor cache 127.0.0.1 {primary.port} 1\nsentinel down-after-milliseconds cache 300\n"
            "sentinel failover-timeout cache 3000\n"
        )
        with RedisServer("vectorset", [str(settings)], sentinel=True) as sentinel:

            async def knows():
                return b"num-slaves\r\n$1\r\n1" in await asyncio.to_thread(sentinel.ask, "SENTINEL", "MASTER", "cache")

            await eventually(knows)
            backend = RedisBackend(f"redis+sentinel://127.0.0.1:{sentinel.port}/cache", front_size=0, timeout=1.0)
            assert backend.url == f"redis+sentinel://127.0.0.1:{sentinel.port}/cache/0"
            await backend.set("k", entry())

            async def copied():
                return b":0\r\n" not in await asyncio.to_thread(
                    replica.ask, "EXISTS", backend._way.names.entry(b"k").decode()
                )

            await eventually(copied)
            async with Load(backend) as load:
                await load.served()
                primary.stop(signal.SIGKILL)
                await load.more(40)
                await load.served()
                assert not load.open
            assert (await backend.get("k")).response == "That."  # the replica had it
            assert [c.key for c in await backend.find_candidates(X, 0.9, **LIMITS)] == ["k"]
            await backend.close()


async def test_a_server_that_is_not_there():
    from scripts.servers.common import free_port

    backend = RedisBackend(f"redis://user:hush@127.0.0.1:{free_port()}")
    with pytest.raises(CacheBackendError, match="Is the server running") as caught:
        await backend.ping()
    assert "hush" not in str(caught.value)
    assert backend.way is None
    engine = SemanticCache(backend)

    async def call():
        return "computed"

    assert await engine.get_or_call(Request(text="x"), call) == "computed"
    await engine.close()
    await backend.close()
