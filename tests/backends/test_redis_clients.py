"""Connections of every kind: a client of one's own, users and passwords, TLS, a socket, the front before them."""

import asyncio
import subprocess

import pytest
import redis
import redis.asyncio
from redis_servers import WAYS, entry, make, near_key, own_prefix, server_url
from scripts.servers.redis import RedisServer, openssl

from semantic_llm_cache.backends import RedisBackend, backend_from_url
from semantic_llm_cache.exceptions import CacheBackendError


@pytest.mark.parametrize("settings", [{"protocol": 2}, {"protocol": 3}, {"decode_responses": True}])
@pytest.mark.parametrize("way", WAYS)
def test_a_client_of_ones_own(way, settings):
    async def work():
        await backend.set("k", entry())
        assert (await backend.get("k")).response == "That."
        assert await near_key(backend) == "k"
        await backend.add_counters("n", {"a": 1})
        return await backend.get_counters()

    async def main():
        nonlocal backend
        client = redis.asyncio.Redis.from_url(server_url(way), **settings)
        backend = RedisBackend(client=client, prefix=own_prefix(), search=way)
        assert backend.url == RedisBackend(server_url(way)).url
        await work()
        await asyncio.to_thread(lambda: asyncio.run(work()))  # a loop of its own gets a client of its own
        await backend.close()
        assert await client.ping()  # left open
        assert await work() == {"n": {"a": 3}}
        await backend.close()
        await client.aclose()

    backend = None
    asyncio.run(main())


async def test_a_cluster_client_of_ones_own():
    host, port = server_url("cluster").split("//")[1].split(",")[0].split(":")
    client = redis.asyncio.RedisCluster(host=host, port=int(port), require_full_coverage=False)
    backend = RedisBackend(client=client, prefix=own_prefix())
    await backend.set("k", entry())
    assert await near_key(backend) == "k"
    assert backend.way == "vectorset"
    found = await asyncio.to_thread(lambda: asyncio.run(near_key(backend)))
    assert found == "k"
    await backend.close()
    await client.aclose()


def test_what_cannot_be_is_said():
    with pytest.raises(TypeError, match=r"redis\.asyncio"):
        RedisBackend(client=redis.Redis())
    with pytest.raises(ValueError, match="not both"):
        RedisBackend("redis://h", client=object())
    for options, says in [
        ({"search": "best"}, "search= must be one of auto"),
        ({"prefix": ""}, "prefix=''"),
        ({"shards": 0}, "shards=0"),
        ({"timeout": 0}, "timeout=0"),
        ({"front_seconds": -1}, "front_seconds=-1"),
    ]:
        with pytest.raises(ValueError) as caught:
            RedisBackend(**options)
        assert says in str(caught.value)


async def test_users_passwords_and_what_they_may(caplog):
    with RedisServer("vectorset", ["--user", "default", "on", ">top-secret", "~*", "&*", "+@all"]) as server:
        open_url = server.url.replace("redis://", "redis://:top-secret@")
        backend = RedisBackend(open_url)
        await backend.ping()
        await backend._link.execute(
            "ACL", "SETUSER", "cache", "on", ">p%40ss/w:rd", "~semantic_llm_cache:*", "+@all", "-@dangerous"
        )
        await backend.close()
        user = RedisBackend(server.url.replace("redis://", "redis://cache:p%2540ss%2Fw%3Ard@"))
        await user.set("k", entry())
        assert await near_key(user) == "k"
        assert len(await user.iterate()) == 1
        assert user.way == "vectorset"
        elsewhere = RedisBackend(server.url.replace("redis://", "redis://cache:p%2540ss%2Fw%3Ard@"), prefix="other:")
        with pytest.raises(CacheBackendError, match=r"keys under the prefix"):
            await elsewhere.set("k", entry())
        wrong = RedisBackend(server.url.replace("redis://", "redis://cache:hush-hush@"))
        with pytest.raises(CacheBackendError, match="password is wrong") as caught:
            await wrong.get("k")
        without = RedisBackend(server.url)
        with pytest.raises(CacheBackendError, match="wants a password"):
            await without.get("k")
        for one in (backend, user, elsewhere, wrong, without):
            await one.close()
        everything = f"{caplog.text} {caught.value} {wrong!r} {wrong.url} {wrong._link.clients.address!r}"
        assert "hush" not in everything
        assert "secret" not in f"{backend!r} {backend.url} {caplog.text}"


async def test_tls_and_a_socket(tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    await asyncio.to_thread(
        subprocess.run,
        [*openssl(), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=localhost", "-config", "/dev/null",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    from scripts.servers.common import free_port

    tls_port = free_port()
    options = ["--tls-port", str(tls_port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key),
               "--tls-auth-clients", "no", "--unixsocket", str(tmp_path / "redis.sock")]  # fmt: skip
    with RedisServer("vectorset", options) as server:
        secure = RedisBackend(f"rediss://127.0.0.1:{tls_port}/0?ssl_ca_certs={certificate}")
        await secure.set("k", entry())
        assert secure.url == f"rediss://127.0.0.1:{tls_port}/0"
        untrusting = RedisBackend(f"rediss://127.0.0.1:{tls_port}/0")
        with pytest.raises(CacheBackendError, match="certificate verify failed"):
            await untrusting.get("k")
        local = backend_from_url(f"unix://{tmp_path}/redis.sock")
        assert (await local.get("k")).response == "That."
        assert await near_key(local) == "k"
        assert server.pid
        for one in (secure, untrusting, local):
            await one.close()


async def test_the_front_is_dropped_by_own_writes():
    backend = make("plain", front_size=10, front_seconds=2.0)  # not long enough for listening
    await backend.set("k", entry(response=1))
    for change in (
        lambda: backend.set("k", entry(response=2)),
        lambda: backend.delete("k"),
        lambda: backend.clear(),
    ):
        await backend.set("k", entry(response=1))
        generation = backend.front.generation
        backend.front.put("k", await backend.get("k"), generation)
        assert backend.front.get("k").response == 1
        await change()
        assert backend.front.get("k") is None
        backend.front.put("k", entry(), generation)  # a read that began before
        assert backend.front.get("k") is None
    await backend.close()


def test_without_redis_installed_it_says_what_to_install(run_script):
    said = run_script(
        """
        import sys
        sys.modules["redis"] = None
        import semantic_llm_cache.backends as backends
        from semantic_llm_cache.exceptions import CacheBackendError
        assert "semantic_llm_cache.backends.redis" not in sys.modules
        try:
            backends.RedisBackend("redis://localhost")
        except CacheBackendError as error:
            print(error)
        """
    )
    assert "pip install redis hiredis" in said
