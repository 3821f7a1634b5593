"""What happens when the server is killed, frozen, or holds what is not ours; when the line is cut; and at the start."""

import asyncio
import logging
import os

import asyncpg
import pytest
from faults import LIMITS, Load, Proxy, X, entry
from postgres_servers import execute, own_schema, server_url
from scripts.servers.common import free_port
from scripts.servers.postgres import PostgresServer

from semantic_llm_cache import Request, SemanticCache
from semantic_llm_cache.backends import PostgresBackend
from semantic_llm_cache.exceptions import CacheBackendError


def made(**settings):
    url = server_url()
    return PostgresBackend(url, schema=own_schema(url), front_size=0, **settings)


async def test_a_server_killed_under_load_and_started_again(caplog):
    server = PostgresServer(18)
    server.start()
    try:
        backend = PostgresBackend(server.url, front_size=0, timeout=1.0)
        await backend.set("k", entry())
        async with Load(backend) as load:
            await load.served()
            server.kill()
            await load.more(40)
            assert load.open
            server.start()
            await load.served()
            assert not load.open
        told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        outages = [text for text in told if " failed (" in text]
        assert 1 <= len(outages) <= 3  # reading, searching, writing: once each
        assert (await backend.get("k")).response == "That."  # it had been committed
        await backend.close()
    finally:
        server.stop()


async def test_a_restart_between_two_calls_is_not_seen():
    server = PostgresServer(18)
    server.start()
    try:
        backend = PostgresBackend(server.url, front_size=0)
        await backend.set("k", entry())
        server.kill()
        server.start()
        assert (await backend.get("k")).response == "That."
        server.kill()
        server.start()
        await backend.set("k", entry("new"))
        assert [c.entry.response for c in await backend.find_candidates(X, 0.9, **LIMITS)] == ["new"]
        await backend.close()
    finally:
        server.stop()


async def test_a_frozen_server():
    with PostgresServer(18) as server:
        backend = PostgresBackend(server.url, front_size=0, timeout=0.3, connect_timeout=0.3)
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


async def test_a_connection_cut_in_the_middle_of_a_reply():
    url = server_url(16)
    port = int(url.split("@")[1].split(":")[1].split("/")[0])
    with Proxy(port) as proxy:
        address = url.replace(f":{port}/", f":{proxy.port}/")
        backend = PostgresBackend(address, schema=own_schema(url), front_size=0)
        await backend.set("k", entry("a long answer " * 500))
        await backend.set("k2", entry("another " * 500, -X))
        for cut in (0, 1, 7, 300):
            proxy.cut_after = cut
            assert (await backend.get("k")).response == "a long answer " * 500
            proxy.cut_after = cut
            found = await backend.find_candidates(X, 0.9, **LIMITS)
            assert [(one.key, one.entry.response) for one in found] == [("k", "a long answer " * 500)]
            proxy.cut_after = cut
            await backend.set("k3", entry(cut, -X))
            assert (await backend.get("k3")).response == cut
        assert proxy.cuts == 12
        proxy.cut_after = 0
        with pytest.raises(CacheBackendError):  # it may have been counted: not once more
            await backend.add_counters("n", {"hits": 1})
        assert await backend.get_counters() in ({}, {"n": {"hits": 1.0}})
        await backend.close()


async def test_each_call_takes_one_round_trip():
    url = server_url(16)
    port = int(url.split("@")[1].split(":")[1].split("/")[0])
    with Proxy(port) as proxy:
        address = url.replace(f":{port}/", f":{proxy.port}/")
        backend = PostgresBackend(address, schema=own_schema(url), front_size=0, pool_max=1)

        async def cost(awaitable):
            before = proxy.round_trips
            await awaitable
            return proxy.round_trips - before

        calls = [
            lambda: backend.set("k", entry()),
            lambda: backend.get("k"),
            lambda: backend.get("nothing"),
            lambda: backend.find_candidates(X, 0.9, **LIMITS),
            lambda: backend.find_candidates(-X, 0.9, **LIMITS),
            lambda: backend.delete("k"),
            lambda: backend.record_hits({"k": 1, "k2": 2}, 1.0),
        ]
        for call in calls:  # the first time, each is prepared
            await call()
        assert [await cost(call()) for call in calls] == [1] * len(calls)
        await backend.close()


async def test_many_start_at_once(run_script):
    """Eight processes with nothing there yet; each also makes tables of two event loops."""
    url = server_url()
    schema = own_schema(url)
    script = f"""
        import asyncio, os, sys
        from semantic_llm_cache.backends import PostgresBackend
        from semantic_llm_cache.config import CacheEntry
        backend = PostgresBackend({url!r}, schema={schema!r}, pool_max=3)
        async def main(word):
            await asyncio.gather(*[backend.set(f"{{word}}{{n}}", CacheEntry("p", n, [1.0, n])) for n in range(5)])
        children = []
        for number in range(4):
            child = os.fork()
            if not child:
                asyncio.run(main(f"child {{number}} "))
                asyncio.run(main(f"again {{number}} "))
                os._exit(0)
            children.append(child)
        assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    """
    await asyncio.gather(asyncio.to_thread(run_script, script), asyncio.to_thread(run_script, script))
    backend = PostgresBackend(url, schema=schema)
    assert (await backend.get_stats())["size"] == 40
    assert [row[0] for row in await execute(url, f'SELECT version FROM "{schema}".layout ORDER BY 1')] == [1, 2]
    await backend.close()


async def test_a_fork_in_the_middle_of_use(run_script):
    url = server_url()
    schema = own_schema(url)
    run_script(f"""
        import asyncio, os
        from semantic_llm_cache.backends import PostgresBackend
        from semantic_llm_cache.config import CacheEntry
        backend = PostgresBackend({url!r}, schema={schema!r}, front_size=0)
        async def main():
            await backend.set("k", CacheEntry("p", "parent"))
            child = os.fork()
            if not child:
                os._exit(os.spawnv(os.P_WAIT, "/bin/true", ["true"]) if False else in_child())
            assert await asyncio.to_thread(lambda: os.waitpid(child, 0)[1]) == 0
            assert (await backend.get("k")).response == "child"
            await backend.close()
        def in_child():
            import threading
            problems = []
            def work():
                async def change():
                    assert (await backend.get("k")).response == "parent"
                    await backend.set("k", CacheEntry("p", "child"))
                try:
                    asyncio.run(change())
                except BaseException as problem:
                    print(repr(problem), flush=True)
                    problems.append(problem)
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            return len(problems)
        asyncio.run(main())
    """)


async def test_tables_of_a_newer_version_are_left_alone():
    backend = made()
    await backend.set("k", entry())
    await execute(server_url(), f'INSERT INTO "{backend.schema}".layout VALUES (3)')
    later = PostgresBackend(server_url(), schema=backend.schema)
    with pytest.raises(CacheBackendError, match=r"version 3.*newer semantic-llm-cache.*update it"):
        await later.set("k", entry("harm"))

    async def call():
        return "computed"

    engine = SemanticCache(later)
    assert await engine.get_or_call(Request(text="x"), call) == "computed"
    await engine.close()
    assert (await backend.get("k")).response == "That."
    await backend.close()


async def test_tables_that_somebody_has_removed_are_made_again():
    backend = made()
    await backend.set("k", entry())
    await execute(server_url(), f'DROP SCHEMA "{backend.schema}" CASCADE')
    assert await backend.get("k") is None
    await backend.set("k", entry())
    await execute(server_url(), f'DROP TABLE "{backend.schema}".hits')
    assert (await backend.get("k")).response == "That."
    await backend.close()


async def test_a_damaged_row_is_a_miss_and_a_warning(caplog):
    backend = made()
    await backend.set_many([(key, entry(key)) for key in ("good", "bad")])
    await execute(server_url(), f"UPDATE \"{backend.schema}\".entries SET response = '{{cut' WHERE key = 'bad'")
    assert await backend.get("bad") is None
    assert "is damaged and left out" in caplog.text
    caplog.clear()
    assert [c.key for c in await backend.find_candidates(X, 0.9, **LIMITS)] == ["good"]
    assert [key for key, _ in await backend.iterate()] == ["good"]
    assert not caplog.records  # once is enough
    await backend.set("bad", entry("mended"))
    assert (await backend.get("bad")).response == "mended"
    await execute(server_url(), f"UPDATE \"{backend.schema}\".entries SET schema_version = 2 WHERE key = 'bad'")
    assert await backend.get("bad") is None
    assert not caplog.records
    await backend.close()


async def test_rights_that_are_missing_are_named():
    url = server_url(16)  # always ours
    user = f"slc_{os.getpid()}"
    if not await execute(url, f"SELECT 1 FROM pg_roles WHERE rolname = '{user}'"):
        await execute(url, f"CREATE ROLE {user} LOGIN")
    database = f"{user}_db"
    await execute(url, f"CREATE DATABASE {database}")
    theirs = url.replace("postgres@", f"{user}@").replace("/postgres?", f"/{database}?")
    try:
        backend = PostgresBackend(theirs)
        with pytest.raises(CacheBackendError, match=r"CREATE on|CREATE EXTENSION vector"):
            await backend.ping()
        await execute(url.replace("/postgres?", f"/{database}?"), "CREATE EXTENSION vector",
                      f"CREATE SCHEMA semantic_llm_cache AUTHORIZATION {user}")  # fmt: skip
        await backend.set("k", entry())
        assert (await backend.find_candidates(X, 0.9, **LIMITS))[0].key == "k"
        await backend.close()
    finally:
        await execute(url, f"DROP DATABASE {database} WITH (FORCE)")
        await execute(url, f"DROP ROLE {user}")


async def test_a_session_that_only_reads():
    backend = made()
    await backend.set("k", entry())
    reading = made()
    reading._link.names = backend._link.names
    pool = await reading._link.pools.get()
    connection = await pool.acquire()
    await connection.execute("SET default_transaction_read_only = on")
    pool.release(connection)
    assert (await reading.get("k")).response == "That."
    with pytest.raises(CacheBackendError, match=r"replica.*primary's address"):
        await reading.set("k", entry("other"))
    await backend.close()
    await reading.close()


async def test_a_server_that_is_not_there():
    backend = PostgresBackend(f"postgresql://user:hush@127.0.0.1:{free_port()}/d")
    with pytest.raises(CacheBackendError, match="Is the server running") as caught:
        await backend.ping()
    assert "hush" not in str(caught.value)
    backend = PostgresBackend(server_url(16).replace("/postgres?", "/nothing?"))
    with pytest.raises(CacheBackendError, match="Create the database"):
        await backend.ping()
    await backend.close()


async def test_connections_are_bounded_and_waited_for():
    backend = made(pool_max=2, timeout=0.3)
    await backend.set("k", entry())
    await asyncio.gather(*[backend.get("k") for _ in range(100)])
    pool = await backend._link.pools.get()
    assert pool.size <= 2
    taken = [await pool.acquire(), await pool.acquire()]
    with pytest.raises(CacheBackendError, match="raise pool_max"):
        await backend.get("k")
    waiting = asyncio.ensure_future(backend.get("k"))
    await asyncio.sleep(0)
    gone = asyncio.ensure_future(backend.get("k"))
    await asyncio.sleep(0)
    gone.cancel()
    for connection in taken:
        pool.release(connection)
    assert (await waiting).response == "That."
    tasks = [asyncio.ensure_future(backend.get("k")) for _ in range(20)]
    await asyncio.sleep(0.001)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (await backend.get("k")).response == "That."
    assert pool.size <= 2
    await backend.close()
    with pytest.raises(asyncpg.InterfaceError):
        await taken[0].fetch("SELECT 1")
