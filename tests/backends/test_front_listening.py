"""What other processes change reaches the front of this one; without the connection the bound still holds."""

import asyncio
import os
import sqlite3
import time

import postgres_servers
import pytest
import redis_servers
from redis_servers import own_prefix

from semantic_llm_cache import Request, SemanticCache
from semantic_llm_cache.backends import PostgresBackend, RedisBackend, SQLiteBackend
from semantic_llm_cache.backends import listener as _listening
from semantic_llm_cache.config import CacheEntry

BOUND = 60.0


class Pair:
    """Two backends on one storage, as two processes have them: this one's front, and the other's changes."""

    def __init__(self, make, by_hand):
        self.ours, self.theirs = make(front_seconds=BOUND), make(front_size=0)
        self.by_hand = by_hand
        self.engine = SemanticCache(self.ours, namespace="n", timeout=5.0)
        self.calls = 0

    async def ask(self, prompt="p"):
        async def call():
            self.calls += 1
            return f"answer {self.calls}"

        return await self.engine.get_or_call(Request("n", {}, prompt), call)

    @property
    def key(self):
        return Request("n", {}, "p").key

    @property
    def listener(self):
        return self.ours._listener

    async def kept(self):
        """Have the answer in the front, with changes being heard."""
        await self.ask()
        await self.ask()
        await until(lambda: self.listener.hearing)
        await self.ask()
        assert self.ours.front.get(self.key) is not None
        return await self.ask()

    async def dropped(self):
        await until(lambda: self.ours.front.get(self.key) is None, BOUND / 4)


async def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        await asyncio.sleep(0.01)


def redis_pair(kind):
    url, prefix = redis_servers.server_url(kind), own_prefix()

    def make(**options):
        return RedisBackend(url, prefix=prefix, **options)

    async def by_hand(pair):
        """Delete as somebody with redis-cli would."""
        name = pair.ours._way.names.entry(pair.key.encode())
        await pair.theirs._link.execute("DEL", name)

    return Pair(make, by_hand)


def postgres_pair(url=None):
    url = url or postgres_servers.server_url()
    schema = postgres_servers.own_schema(url)

    async def by_hand(pair):
        await postgres_servers.execute(url, f'DELETE FROM "{schema}".entries')

    return Pair(lambda **options: PostgresBackend(url, schema=schema, **options), by_hand)


def sqlite_pair(path):
    async def by_hand(pair):
        with sqlite3.connect(path) as other:
            other.execute("DELETE FROM entries")
        other.close()

    return Pair(lambda **options: SQLiteBackend(path, **options), by_hand)


@pytest.fixture(params=["search", "vectorset", "plain", "cluster", "postgres", "sqlite"])
async def pair(request, tmp_path):
    if request.param == "postgres":
        found = postgres_pair()
    elif request.param == "sqlite":
        found = sqlite_pair(tmp_path / "cache.db")
    else:
        found = redis_pair(request.param)
    yield found
    await found.ours.close()
    await found.theirs.close()


async def test_what_another_process_changes_is_seen(pair):
    async def replace():
        await pair.theirs.set(pair.key, CacheEntry("p", "replaced", scope="s", namespace="n"))

    async def by_hand():
        await pair.by_hand(pair)

    for change in (
        lambda: pair.theirs.delete(pair.key),
        lambda: pair.theirs.invalidate("P"),
        lambda: pair.theirs.clear(),
        lambda: pair.theirs.clear("n"),
        by_hand,
        replace,
    ):
        before = await pair.kept()
        await change()
        await pair.dropped()
        after = await pair.ask()
        assert after != before
        if change is replace:
            assert after == "replaced"


async def test_other_keys_stay_and_so_does_what_is_only_read(pair):
    await pair.kept()
    await pair.theirs.set("another", CacheEntry("q", "x", [1.0, 0.0], scope="s", namespace="n"))
    await pair.theirs.delete("another")
    await pair.theirs.get(pair.key)
    await asyncio.sleep(0.4)  # longer than anything that is told takes
    assert pair.ours.front.get(pair.key) is not None


async def test_hits_that_another_process_counts_change_nothing(pair):
    before = await pair.kept()
    await pair.theirs.record_hits({pair.key: 3}, time.time())
    await pair.theirs.add_counters("n", {"hits": 3})
    await asyncio.sleep(0.4)  # longer than anything that is told takes
    assert pair.ours.front.get(pair.key) is not None
    assert await pair.ask() == before
    assert (await pair.theirs.get_many([pair.key]))[0].hit_count >= 3


async def test_all_is_forgotten_when_the_server_is_emptied():
    pair = redis_pair("plain")
    with redis_servers.RedisServer("plain") as server:
        pair = Pair(lambda **options: RedisBackend(server.url, **options), None)
        await pair.kept()
        await pair.theirs._link.execute("FLUSHALL")
        await pair.dropped()
        await pair.kept()
        await pair.theirs._link.execute("CONFIG", "SET", "maxmemory", "1mb", "maxmemory-policy", "allkeys-random")
        await pair.dropped()  # evicted
        await pair.ours.close()
        await pair.theirs.close()


async def test_a_truncated_table():
    pair = postgres_pair()
    await pair.kept()
    await postgres_servers.execute(postgres_servers.server_url(), f'TRUNCATE "{pair.ours.schema}".entries')
    await pair.dropped()
    await pair.kept()
    await pair.theirs.set_many([(f"k{n}", CacheEntry("old", n)) for n in range(450)])
    await pair.theirs.delete_many([pair.key, *[f"k{n}" for n in range(450)]])  # in several messages
    await pair.dropped()
    await pair.ours.close()
    await pair.theirs.close()


# ---------------------------------------------------------------------- without the connection


async def kill_connections(pair, kind):
    if kind == "redis":
        await pair.theirs._link.execute("CLIENT", "KILL", "TYPE", "pubsub")
    else:
        await postgres_servers.execute(
            postgres_servers.server_url(),
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' OR query = 'SELECT 1'",
        )


@pytest.mark.parametrize("kind", ["redis", "postgres"])
async def test_a_lost_connection_empties_the_front_and_is_made_anew(kind):
    pair = redis_pair("plain") if kind == "redis" else postgres_pair()
    before = await pair.kept()
    drops = []
    pair.listener.heard = lambda heard=pair.listener.heard: (drops.append(1), heard())
    await kill_connections(pair, kind)
    await until(lambda: drops)
    assert await pair.ask() == before
    await pair.kept()
    await pair.theirs.delete(pair.key)
    await pair.dropped()
    await pair.ours.close()
    await pair.theirs.close()


@pytest.mark.parametrize("kind", ["redis", "postgres", "sqlite"])
async def test_with_nothing_heard_the_bound_holds(kind, tmp_path, monkeypatch):
    if kind == "sqlite":
        pair = sqlite_pair(tmp_path / "cache.db")
    else:
        pair = redis_pair("plain") if kind == "redis" else postgres_pair()
    await pair.kept()

    async def unreachable():
        raise ConnectionError("cut")

    pair.listener.hear = unreachable
    if kind != "sqlite":
        await kill_connections(pair, kind)
        await until(lambda: not pair.listener.hearing)
    else:
        pair.listener._reading = None  # the running look fails
        await until(lambda: not pair.listener.hearing)
    before = await pair.ask()
    await pair.ask()
    assert pair.ours.front.get(pair.key) is not None
    await pair.theirs.delete(pair.key)
    await asyncio.sleep(0.3)
    assert await pair.ask() == before  # nobody has told
    later = time.monotonic() + BOUND + 1
    monkeypatch.setattr("semantic_llm_cache.storage.front.time.monotonic", lambda: later)
    assert await pair.ask() != before
    await pair.ours.close()
    await pair.theirs.close()


async def test_behind_pgbouncer_nothing_is_believed(caplog):
    caplog.set_level("INFO")
    pair = postgres_pair(postgres_servers.bouncer_url())
    before = await pair.ask()
    await pair.ask()
    await until(lambda: any("pgbouncer in transaction mode" in record.getMessage() for record in caplog.records))
    assert not pair.listener.hearing
    assert await pair.ask() == before
    await pair.ours.close()
    await pair.theirs.close()


# ------------------------------------------------------------------------ only when it is needed


async def test_nobody_listens_unless_it_is_needed(pair, monkeypatch):
    await pair.theirs.set(pair.key, CacheEntry("p", "x"))
    short = SemanticCache(pair.ours, namespace="n")
    assert pair.listener._running is None
    await pair.ours.get(pair.key)
    assert pair.listener._running is None  # the engine keeps entries, not the backend
    assert pair.theirs.front.listen is None
    monkeypatch.setattr(_listening, "_LINGER", 0.5)
    for module in ("redis.listen", "postgres.listen"):
        monkeypatch.setattr(f"semantic_llm_cache.backends.{module}.TICK", 0.1)
    await pair.kept()
    assert pair.listener._running is not None
    await short.delete(Request("n", {}, "p"))
    await until(lambda: pair.listener._running is None)
    assert not pair.listener.hearing
    await pair.kept()  # and again


async def test_default_bounds_need_no_listener(tmp_path):
    backends = (SQLiteBackend(tmp_path / "cache.db"), RedisBackend(), PostgresBackend("postgresql://127.0.0.1/x"))
    for backend in backends:
        assert backend.front.size
        assert backend.front.listen is None


async def test_closed_and_used_again(pair):
    await pair.kept()
    await pair.ours.close()
    assert not pair.listener.hearing
    assert not len(pair.ours.front)
    await pair.kept()
    await pair.theirs.delete(pair.key)
    await pair.dropped()


SCRIPT = """
import asyncio, os, sys, time, threading
from semantic_llm_cache import SemanticCache
from semantic_llm_cache.backends import PostgresBackend, RedisBackend, SQLiteBackend
from semantic_llm_cache.config import CacheEntry

backend = {make}
ask = SemanticCache(backend, namespace="n").cache(lambda prompt: prompt + "!")
for _ in range(3):
    assert ask("p") == "p!"

def hear():
    end = time.monotonic() + 10
    while not backend._listener.hearing:
        assert time.monotonic() < end
        time.sleep(0.01)
    ask("p")
    assert len(backend.front) == 1

async def loop():
    ask("p")
    await backend.get("x")

hear()
threads = [threading.Thread(target=lambda: asyncio.run(loop())) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert backend._listener.hearing
child = os.fork()
if child == 0:
    try:
        assert not len(backend.front)
        ask("p")
        ask("p")
        hear()
        asyncio.run(backend.clear())
        os._exit(0)
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)
assert os.waitpid(child, 0)[1] == 0
end = time.monotonic() + 10
while len(backend.front):
    assert time.monotonic() < end
    time.sleep(0.01)
assert backend._listener.hearing
print("done")
sys.exit(0)
"""


@pytest.mark.parametrize("kind", ["redis", "postgres", "sqlite"])
def test_loops_forks_and_an_end_without_close(kind, tmp_path):
    import subprocess
    import sys

    if kind == "redis":
        make = f"RedisBackend({redis_servers.server_url('plain')!r}, prefix={own_prefix()!r}, front_seconds=60)"
    elif kind == "postgres":
        url = postgres_servers.server_url()
        make = f"PostgresBackend({url!r}, schema={postgres_servers.own_schema(url)!r}, front_seconds=60)"
    else:
        make = f"SQLiteBackend({str(tmp_path / 'cache.db')!r}, front_seconds=60)"
    began = time.monotonic()
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", SCRIPT.format(make=make)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=dict(os.environ))
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
    assert time.monotonic() - began < 50


async def test_through_a_sentinel_and_with_a_client_of_ones_own(tmp_path):
    import redis.asyncio

    settings = tmp_path / "sentinel.conf"
    with redis_servers.RedisServer("vectorset") as primary:
        settings.write_text(f"sentinel monitor cache 127.0.0.1 {primary.port} 1\n")
        with redis_servers.RedisServer("vectorset", [str(settings)], sentinel=True) as sentinel:
            url = f"redis+sentinel://127.0.0.1:{sentinel.port}/cache"
            client = redis.asyncio.Redis.from_url(primary.url, decode_responses=True)
            for make in (lambda **options: RedisBackend(url, **options),
                         lambda **options: RedisBackend(client=client, **options)):  # fmt: skip
                pair = Pair(make, None)
                await pair.kept()
                await pair.theirs.delete(pair.key)
                await pair.dropped()
                lease = await pair.theirs.acquire_lease("k", "token", 30.0)
                waiting = asyncio.ensure_future(pair.ours.wait_for_lease("k", 30.0))
                await asyncio.sleep(0.2)
                assert not waiting.done()
                await pair.theirs.release_lease(lease)
                await asyncio.wait_for(waiting, 10)
                await pair.ours.close()
                await pair.theirs.close()
            await client.aclose()


async def test_a_file_and_tables_of_the_version_before_leases(tmp_path):
    path = tmp_path / "cache.db"
    url = postgres_servers.server_url()
    schema = postgres_servers.own_schema(url)
    for make in (lambda: SQLiteBackend(path), lambda: PostgresBackend(url, schema=schema)):
        async with make() as backend:
            await backend.set("k", CacheEntry("p", "kept"))
    with sqlite3.connect(path) as raw:
        raw.executescript("DROP TABLE leases; UPDATE meta SET value = 1 WHERE name = 'schema_version'")
    raw.close()
    await postgres_servers.execute(
        url,
        f'DROP TABLE "{schema}".leases',
        f'DROP FUNCTION "{schema}".lease',
        f'DROP FUNCTION "{schema}".tell CASCADE',
        f'DELETE FROM "{schema}".layout WHERE version = 2',
    )
    for make in (lambda: SQLiteBackend(path), lambda: PostgresBackend(url, schema=schema)):
        async with make() as backend:
            assert (await backend.get("k")).response == "kept"
            lease = await backend.acquire_lease("k", "token", 5.0)
            assert await backend.set_leased(lease, CacheEntry("p", "new"))
            assert (await backend.get("k")).response == "new"


async def test_a_file_of_the_version_before_that_may_only_be_read(tmp_path):
    path = tmp_path / "cache.db"
    async with SQLiteBackend(path) as backend:
        await backend.set("k", CacheEntry("p", "kept"))
    with sqlite3.connect(path) as raw:
        raw.executescript("DROP TABLE leases; UPDATE meta SET value = 1 WHERE name = 'schema_version'")
    raw.close()
    from semantic_llm_cache.backends.sqlite import schema as _sqlite_schema

    def refuse(connection):
        raise sqlite3.OperationalError("attempt to write a readonly database")  # root may write everywhere

    migrations, _sqlite_schema._MIGRATIONS[1] = _sqlite_schema._MIGRATIONS[1], refuse
    try:
        async with SQLiteBackend(path) as backend:
            assert (await backend.get("k")).response == "kept"
    finally:
        _sqlite_schema._MIGRATIONS[1] = migrations
