"""What somebody removes from a Redis server while it is in use comes back, without a restart."""

import asyncio
import logging

import pytest
import redis.asyncio
from faults import LIMITS, X, entry, eventually
from redis_servers import own_prefix, server_url
from scripts.servers.redis import RedisServer

from semantic_llm_cache.backends import RedisBackend

WAYS = ["search", "vectorset", "plain"]


async def near(backend, vector=X, **limits):
    found = await backend.find_candidates(vector, 0.9, k=50, **{**LIMITS, **limits})
    return {candidate.key for candidate in found}


async def opened(way):
    backend = RedisBackend(server_url(way), prefix=own_prefix(), search=way, front_size=0)
    return backend, redis.asyncio.Redis.from_url(server_url(way), protocol=2)


@pytest.mark.parametrize("documents", [[], ["DD"]], ids=["the index", "the index and its documents"])
async def test_an_index_that_is_dropped(documents):
    backend, client = await opened("search")
    await backend.set_many((f"k{number}", entry(number)) for number in range(20))
    await eventually(lambda: _found(backend, 20))
    await client.execute_command("FT.DROPINDEX", backend._way._index(len(X)), *documents)
    await near(backend)  # the call that meets it finds nothing
    await backend.set("new", entry("new"))
    await eventually(lambda: _found(backend, 1 if documents else 21))
    await backend.close()
    await client.aclose()


async def _found(backend, number):
    return len(await near(backend)) == number


@pytest.mark.parametrize("meets", ["a search", "a write"])
async def test_a_vector_set_that_is_deleted(meets, caplog):
    backend, client = await opened("vectorset")
    await backend.set_many((f"k{number}", entry(number)) for number in range(100))
    await backend.set_many((f"far{number}", entry(number, -X)) for number in range(10))
    await backend.set("another scope", entry("x", scope="other"))
    assert len(await near(backend)) == 50
    names = await client.keys(f"{backend.prefix}*:v:*")
    assert len(names) == 2
    await client.delete(*names)
    if meets == "a search":
        await near(backend)
    else:
        await backend.set("k0", entry("new"))

    async def back():
        return len(await near(backend)) == 50 and len(await near(backend, -X)) == 10

    await eventually(back)
    await near(backend, scope="other")
    await eventually(lambda: _is(near(backend, scope="other"), {"another scope"}))
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(told) == 1
    assert "vector set" in told[0]
    await backend.close()
    await client.aclose()


async def _is(awaitable, value):
    return await awaitable == value


async def test_a_vector_set_that_ends_in_good_order_is_not_restored(caplog):
    backend, client = await opened("vectorset")
    await backend.set_many((f"k{number}", entry(number)) for number in range(5))
    assert await backend.delete_many([f"k{number}" for number in range(5)]) == 5
    assert await near(backend) == set()
    await backend.set("k", entry("k", ttl=0.3))
    assert await near(backend) == {"k"}
    await asyncio.sleep(0.5)
    assert await near(backend) == set()
    await backend.set("k2", entry())
    await backend.clear()
    assert await near(backend) == set()
    await backend.set("k3", entry())
    assert await near(backend) == {"k3"}
    assert backend._way.restored == 0
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    await backend.close()
    await client.aclose()


@pytest.mark.parametrize("what", ["log", "stream"])
async def test_a_log_that_is_deleted(what):
    backend, client = await opened("plain")
    other = RedisBackend(server_url("plain"), prefix=backend.prefix, search="plain", front_size=0)
    await backend.set_many((f"k{number}", entry(number)) for number in range(20))
    assert len(await near(other)) == 20
    await client.delete(backend._way.names.other(what, 0))
    await backend.set("new", entry("new"))
    await eventually(lambda: _found(other, 21))
    await backend.delete("k1")
    await eventually(lambda: _found(other, 20))
    await backend.close()
    await other.close()
    await client.aclose()


@pytest.mark.parametrize("way", WAYS)
async def test_everything_is_flushed(way):
    with RedisServer(way) as server:
        backend = RedisBackend(server.url, search=way)
        other = RedisBackend(server.url, search=way)
        client = redis.asyncio.Redis.from_url(server.url, protocol=2)
        for round in range(3):
            await backend.set_many((f"{round}-{number}", entry(number)) for number in range(10))
            await eventually(lambda: _found(other, 10))
            await client.flushall()
            assert await other.get(f"{round}-1") is None
            assert await near(other) == set()
        await backend.close()
        await other.close()
        await client.aclose()
