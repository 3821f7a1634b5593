"""Single flight across processes, as the engine does it: two backends on one storage stand for two processes."""

import asyncio
import time

import postgres_servers
import pytest
import redis_servers
from redis_servers import own_prefix
from scripts.servers.postgres import PostgresServer
from scripts.servers.redis import RedisServer
from test_conformance import SevenMethods

from semantic_llm_cache import Request, SemanticCache, cache, last_lookup
from semantic_llm_cache.backends import MemoryBackend, PostgresBackend, RedisBackend, SQLiteBackend
from semantic_llm_cache.calls.control import CacheControl
from semantic_llm_cache.engine.state import state_of
from semantic_llm_cache.exceptions import CacheBackendError, CacheWarning
from semantic_llm_cache.storage import Lease


class Two:
    """Two engines that share nothing in this process, and what they have called for."""

    def __init__(self, make, lease=30.0, **options):
        self.backends = [make(), make()]
        self.engines = [SemanticCache(b, single_flight="shared", namespace="n", **options) for b in self.backends]
        self.calls = []
        for backend in self.backends:
            backend.lease_seconds = lease

    async def ask(self, number, prompt="p", seconds=0.0, answer="answer", **options):
        async def call():
            self.calls.append(number)
            await asyncio.sleep(seconds)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return await self.engines[number].get_or_call(Request("n", {}, prompt), call, **options)

    async def until(self, calls):
        end = time.monotonic() + 10
        while len(self.calls) < calls:
            assert time.monotonic() < end
            await asyncio.sleep(0.005)

    async def held(self, key):
        """Tell whether somebody has the lease, once what was given back in the background is back."""
        for _ in range(200):
            lease = await self.backends[0].acquire_lease(key, "probe", 0.01)
            if isinstance(lease, Lease):
                await self.backends[0].release_lease(lease)
                return False
            await asyncio.sleep(0.01)
        return True

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc):
        for backend in self.backends:
            await backend.close()


@pytest.fixture
def make(tmp_path):
    return lambda: SQLiteBackend(tmp_path / "cache.db")


KEY = Request("n", {}, "p").key


async def test_the_other_one_waits_and_is_answered(make):
    async with Two(make) as two:
        first = asyncio.ensure_future(two.ask(0, seconds=0.3, answer=["that"]))
        await two.until(1)
        others = [asyncio.ensure_future(two.ask(1)) for _ in range(3)]
        assert await asyncio.gather(first, *others) == [["that"]] * 4
        assert two.calls == [0]
        info = two.engines[1].info()
        assert (info.hits, info.misses) == (3, 0)
        assert await two.ask(1) == ["that"]
        assert last_lookup().outcome == "exact"
        assert not await two.held(KEY)


async def test_who_waited_is_told_why(make):
    async with Two(make) as two:
        first = asyncio.ensure_future(two.ask(0, seconds=0.2))
        await two.until(1)
        assert await two.ask(1) == "answer"
        lookup = last_lookup()
        assert (lookup.outcome, lookup.reason) == ("coalesced", "another process was making the same call")
        await first


@pytest.mark.parametrize("blocking", [False, True])
async def test_a_call_longer_than_the_lease_keeps_it(make, blocking):
    async with Two(make, lease=0.4) as two:

        def call():
            two.calls.append(0)
            time.sleep(1.0)
            return "slow"

        async def blocks():
            return call()

        request = Request("n", {}, "p")
        engine = two.engines[0]
        work = asyncio.to_thread(
            (lambda: engine.get_or_call_blocking(request, call))
            if blocking
            else (lambda: asyncio.run(engine.get_or_call(request, blocks)))
        )
        first = asyncio.ensure_future(work)
        await two.until(1)
        assert await two.ask(1) == "slow" == await first
        assert two.calls == [0]


async def test_a_leader_that_fails_or_is_cancelled_gives_back_at_once(make):
    async with Two(make) as two:
        for how in ("fails", "is cancelled"):
            first = asyncio.ensure_future(two.ask(0, how, 0.2 if how == "fails" else 60, answer=ValueError("no")))
            await two.until(len(two.calls) + 1)
            second = asyncio.ensure_future(two.ask(1, how))
            await asyncio.sleep(0.1)
            if how == "is cancelled":
                first.cancel()
            with pytest.raises((ValueError, asyncio.CancelledError)):
                await first
            assert await asyncio.wait_for(second, 10) == "answer"
        assert two.calls == [0, 1, 0, 1]


async def test_an_answer_that_is_not_stored_is_called_for_by_each(make):
    async with Two(make, cache_if=lambda answer: False) as two:
        found = await asyncio.wait_for(asyncio.gather(*[two.ask(n % 2, seconds=0.05) for n in range(6)]), 10)
        assert found == ["answer"] * 6
        assert sorted(two.calls) == [0, 1]
        assert not await two.held(KEY)


async def test_who_leaves_while_waiting_disturbs_nobody(make):
    async with Two(make) as two:
        first = asyncio.ensure_future(two.ask(0, seconds=0.3))
        await two.until(1)
        second, third = (asyncio.ensure_future(two.ask(1)) for _ in range(2))
        await asyncio.sleep(0.05)
        second.cancel()
        assert await asyncio.gather(first, third) == ["answer"] * 2
        assert two.calls == [0]


async def test_two_that_wait_for_each_other_both_end(make):
    async with Two(make, lease=0.5) as two:
        ready = [asyncio.Event(), asyncio.Event()]

        async def outer(number):
            async def call():
                ready[number].set()
                await ready[1 - number].wait()
                inner = await two.ask(number, str(1 - number), answer="inner")
                return f"outer {inner}"

            return await two.engines[number].get_or_call(Request("n", {}, str(number)), call)

        found = await asyncio.wait_for(asyncio.gather(outer(0), outer(1)), 20)
        assert all(answer.startswith("outer") for answer in found)


async def test_a_stale_answer_is_refreshed_by_one(make):
    now = [1000.0]
    async with Two(make, ttl=10, stale_while_revalidate=1000, clock=lambda: now[0]) as two:
        await two.ask(0, answer="old")
        now[0] += 20
        assert await two.ask(0, seconds=0.3, answer="new") == "old"
        await two.until(2)
        assert await two.ask(1, answer="other") == "old"
        await asyncio.sleep(0.1)
        assert two.calls == [0, 0]
        end = time.monotonic() + 10
        while await two.ask(1, answer="other") == "old":
            assert time.monotonic() < end
            await asyncio.sleep(0.02)
        assert two.calls == [0, 0]


async def test_who_wants_an_answer_of_its_own_does_not_wait(make):
    async with Two(make) as two:
        first = asyncio.ensure_future(two.ask(0, seconds=0.5))
        await two.until(1)
        for control in (CacheControl(no_store=True), CacheControl(no_cache=True)):
            settings = two.engines[1].settings()
            settings.control = control
            await asyncio.wait_for(two.ask(1, settings=settings), 5)
            assert not first.done()
        assert two.calls == [0, 1, 1]
        await first


# ---------------------------------------------------------------------------------- trouble


async def test_a_backend_without_leases_is_told_once(fresh_cache):
    two = Two(lambda: SevenMethods(time.time))
    with pytest.warns(CacheWarning, match="single_flight='shared' has no effect"):
        assert await asyncio.gather(*[two.ask(0, seconds=0.01) for _ in range(5)]) == ["answer"] * 5
    await two.ask(0, "another")  # a second warning would be an error
    assert two.calls == [0, 0]


async def test_memory_needs_no_leases():
    two = Two(MemoryBackend)
    assert await asyncio.gather(*[two.ask(0, seconds=0.01) for _ in range(5)]) == ["answer"] * 5
    assert two.calls == [0]


async def test_a_backend_whose_leases_are_wrong_costs_nothing(make):
    async with Two(make, on_error="open") as two:

        async def nonsense(*args):
            return None

        two.backends[0].acquire_lease = nonsense
        for number in range(5):
            assert await two.ask(0, str(number)) == "answer"
        assert state_of(two.backends[0]).breakers["lease"].open
        assert not state_of(two.backends[0]).breakers["write"].open
        two.engines[0].options.on_error = "raise"
        with pytest.raises(CacheBackendError):
            await two.ask(0, "x")


@pytest.mark.parametrize("value", [True, "threads", None])
def test_bad_values_name_the_option(value):
    with pytest.raises(ValueError, match="single_flight="):
        SemanticCache(single_flight=value)
    with pytest.raises(ValueError, match="single_flight="):
        cache(single_flight=value)


def test_the_option_goes_on_to_engines_made_from_one():
    engine = SemanticCache("memory://", single_flight="shared")
    assert engine.derive(ttl=5).single_flight == "shared"
    assert engine.cache(lambda prompt: prompt).cache_controls.engine.single_flight == "shared"


@pytest.mark.parametrize("kind", ["redis", "postgres"])
@pytest.mark.parametrize("frozen", [False, True])
async def test_a_server_that_fails_in_the_middle(kind, frozen):
    server = RedisServer("vectorset") if kind == "redis" else PostgresServer(18)
    server.start()
    limits = {"timeout": 0.3, "connect_timeout": 0.3}

    def made():
        if kind == "redis":
            return RedisBackend(server.url, **limits)
        return PostgresBackend(server.url, **limits)

    try:
        async with Two(made, lease=1.0, timeout=0.3) as two:
            await two.ask(0, "before")
            first = asyncio.ensure_future(two.ask(0, seconds=0.6))
            await two.until(2)
            others = [asyncio.ensure_future(two.ask(1)) for _ in range(10)]
            await asyncio.sleep(0.1)
            if frozen:
                server.freeze()
            else:
                server.stop(9) if kind == "redis" else server.kill()
            found = await asyncio.wait_for(asyncio.gather(first, *others), 15)
            assert found == ["answer"] * 11
            assert sorted(two.calls) == [0, 0, 1]
            if frozen:
                server.thaw()
            else:
                server.start()
            await asyncio.sleep(0.1)
    finally:
        server.stop()


@pytest.mark.parametrize("where", ["search", "plain", "cluster", "postgres", "pgbouncer"])
async def test_elsewhere(where):
    """Near answers too: what was stored under a lease is found by its meaning."""
    if where in ("postgres", "pgbouncer"):
        url = postgres_servers.server_url() if where == "postgres" else postgres_servers.bouncer_url()
        schema = postgres_servers.own_schema(url)
        two = Two(lambda: PostgresBackend(url, schema=schema), similarity=0.9, timeout=5.0)
    else:
        prefix = own_prefix()
        url = redis_servers.server_url(where)
        two = Two(lambda: RedisBackend(url, prefix=prefix), similarity=0.9, timeout=5.0)
    async with two:
        prompt = "How do I reset my password?"
        first = asyncio.ensure_future(two.ask(0, prompt, seconds=0.4))
        await two.until(1)
        assert await two.ask(1, prompt) == "answer" == await first
        assert await two.ask(1, "How can I reset my password?") == "answer"
        assert last_lookup().outcome == "near"
        assert two.calls == [0]
