"""Stale answers, jitter, and tags made from a call."""

import asyncio
import time

import pytest
from engine_helpers import FaultyBackend

from semantic_llm_cache import SemanticCache, cache, get_stats, invalidate, last_lookup
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.engine.state import state_of


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["memory", "sqlite"])
def backend(request, tmp_path):
    return MemoryBackend() if request.param == "memory" else SQLiteBackend(tmp_path / "cache.db")


async def settle(condition) -> None:
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen")


async def test_stale_while_revalidate_serves_at_once_and_refreshes_behind(backend):
    clock, calls, gate = Clock(), [], asyncio.Event()

    @SemanticCache(backend, ttl=10, stale_while_revalidate=20, clock=clock, namespace="swr").cache
    async def ask(prompt: str) -> str:
        calls.append(prompt)
        if len(calls) > 1:
            await gate.wait()
        return f"answer {len(calls)}"

    assert await ask("a") == "answer 1"
    clock.now += 9
    assert await ask("a") == "answer 1"
    assert last_lookup().outcome == "exact"
    clock.now += 2
    for _ in range(3):  # one refresh, however many ask meanwhile
        assert await ask("a") == "answer 1"
        assert last_lookup().outcome == "stale"
    await settle(lambda: len(calls) == 2)
    gate.set()
    await asyncio.sleep(0.05)
    assert await ask("a") == "answer 2"
    assert last_lookup().outcome == "exact"
    assert get_stats("swr")["stale_hits"] == 3
    clock.now += 31
    assert await ask("a") == "answer 3"  # past the window it is gone
    await backend.close()


async def test_a_failed_refresh_keeps_the_stale_answer(caplog):
    clock, calls = Clock(), []

    @SemanticCache("memory://", ttl=10, stale_while_revalidate=20, clock=clock).cache
    async def ask(prompt: str) -> str:
        calls.append(prompt)
        if len(calls) > 1:
            raise OSError("down")
        return "good"

    await ask("a")
    clock.now += 11
    assert await ask("a") == "good"
    await settle(lambda: len(calls) == 2)
    await asyncio.sleep(0.02)
    assert await ask("a") == "good"


async def test_stale_if_error_serves_all_who_wait(backend):
    clock, calls = Clock(), []

    @SemanticCache(backend, ttl=10, stale_if_error="1m", clock=clock).cache
    async def ask(prompt: str) -> list:
        calls.append(prompt)
        await asyncio.sleep(0.01)
        if len(calls) > 1:
            raise OSError("down")
        return ["good"]

    await ask("a")
    clock.now += 11
    assert await asyncio.gather(*(ask("a") for _ in range(5))) == [["good"]] * 5
    assert len(calls) == 2
    assert ask.cache_info().hits == 5
    clock.now += 60
    with pytest.raises(OSError, match="down"):
        await ask("a")
    await backend.close()


async def test_stale_if_error_prefers_a_fresh_answer():
    clock, calls = Clock(), []

    @SemanticCache("memory://", ttl=10, stale_if_error=60, clock=clock).cache
    async def ask(prompt: str) -> str:
        calls.append(prompt)
        return f"answer {len(calls)}"

    await ask("a")
    clock.now += 11
    assert await ask("a") == "answer 2"
    assert last_lookup().outcome == "miss"


def test_plain_functions_too(tmp_path):
    clock, calls = Clock(), []

    @SemanticCache("memory://", ttl=10, stale_while_revalidate=5, stale_if_error=60, clock=clock).cache
    def ask(prompt: str) -> str:
        calls.append(prompt)
        if len(calls) == 3:
            raise OSError("down")
        return f"answer {len(calls)}"

    ask("a")
    clock.now += 11
    assert ask("a") == "answer 1"
    deadline = time.monotonic() + 5
    while len(calls) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.05)
    assert ask("a") == "answer 2"
    clock.now += 20
    assert ask("a") == "answer 2"
    assert (last_lookup().outcome, len(calls)) == ("stale", 3)


async def test_stale_entries_are_not_matched_near():
    clock, calls = Clock(), []

    @SemanticCache("memory://", similarity=0.95, ttl=10, stale_if_error=60, clock=clock).cache
    async def ask(prompt: str) -> str:
        calls.append(prompt)
        return f"answer {len(calls)}"

    await ask("What is Python?")
    clock.now += 11
    assert await ask("What's Python?") == "answer 2"


async def test_jitter_shortens_the_ttl_within_its_share():
    backend = MemoryBackend()

    @SemanticCache(backend, ttl=100, jitter=0.2).cache
    async def ask(prompt: str) -> str:
        return prompt

    for i in range(50):
        await ask(str(i))
    ttls = [entry.ttl for _, entry in await backend.iterate()]
    assert 80 <= min(ttls) < max(ttls) <= 100
    assert len(set(ttls)) > 10


async def test_tags_made_from_the_call():
    backend, calls = MemoryBackend(), []

    @cache(backend=backend, tags=lambda prompt, user: [f"user:{user}"])
    async def ask(prompt: str, user: str) -> str:
        calls.append(user)
        return prompt

    await ask("a", "ann")
    await ask("a", user="bob")
    assert await invalidate(tags="user:ann", backend=backend) == 1
    await ask("a", "ann")
    await ask("a", "bob")
    assert calls == ["ann", "bob", "ann"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"stale_while_revalidate": 0}, "stale_while_revalidate"),
        ({"stale_if_error": "soon"}, "stale_if_error"),
        ({"jitter": 2}, "jitter"),
    ],
)
def test_bad_values_name_the_argument(options, text):
    with pytest.raises(ValueError, match=text):
        SemanticCache("memory://", **options)


class Gated(FaultyBackend):
    """A storage whose reads can be held back after they have read."""

    def __init__(self):
        super().__init__()
        self.held = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def get(self, key):
        entry = await super().get(key)
        self.held += 1
        await self.gate.wait()
        return entry


async def test_who_read_the_stale_answer_just_before_a_refresh_landed_starts_no_second_one():
    clock, calls, go, backend = Clock(), [], asyncio.Event(), Gated()

    @SemanticCache(backend, ttl=10, stale_while_revalidate=20, clock=clock, namespace="late").cache
    async def ask(prompt: str) -> str:
        calls.append(prompt)
        if len(calls) > 1:
            await go.wait()
        return f"answer {len(calls)}"

    await ask("a")
    clock.now += 11
    assert await ask("a") == "answer 1"
    await settle(lambda: len(calls) == 2)  # the refresh is under way
    backend.gate.clear()
    backend.held = 0
    late = asyncio.ensure_future(ask("a"))
    await settle(lambda: backend.held == 1)  # it has read the old answer
    go.set()
    flights, key = state_of(backend).flights, next(iter(await backend.iterate()))[0]
    await settle(lambda: not flights.refreshing(key))
    assert (await MemoryBackend.get(backend, key)).response == "answer 2"
    backend.gate.set()
    assert await late == "answer 1"
    await settle(lambda: backend.held > 1 and not flights.refreshing(key))  # it has looked again
    assert len(calls) == 2
    assert await ask("a") == "answer 2"
