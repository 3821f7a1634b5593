"""Promises 5 and 11: TTL is absolute, and time is what the clock says."""

import datetime as dt

import pytest
from engine_helpers import Clock

from semantic_llm_cache import CacheContext, Request, SemanticCache, last_lookup
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
def backend(request, tmp_path):
    return MemoryBackend() if request.param == "memory" else SQLiteBackend(tmp_path / "cache.db")


def make(backend, clock, **options):
    engine = SemanticCache(backend, clock=clock, embedder=lambda text: [1.0, len(text) / 1000], guards=None, **options)
    calls = []

    @engine.cache()
    async def ask(prompt: str):
        calls.append(prompt)
        return f"answer {len(calls)}"

    return engine, ask


@pytest.mark.parametrize("prompt", ["what", "What"], ids=["exact", "near"])
async def test_a_hit_does_not_extend_the_life_of_an_answer(backend, clock, prompt):
    engine, ask = make(backend, clock, ttl=100, similarity=0.9)
    assert await ask("what") == "answer 1"
    for _ in range(9):
        clock.now += 11
        assert await ask(prompt) == "answer 1"
    assert last_lookup().age == 99
    assert last_lookup().outcome == ("exact" if prompt == "what" else "near")
    clock.now += 1
    assert await ask(prompt) == "answer 2"
    assert last_lookup().outcome == "miss"
    await engine.close()


async def test_a_clock_set_back_breaks_nothing(backend, clock):
    engine, ask = make(backend, clock, ttl=100, similarity=0.9)
    await ask("what")
    clock.now -= 1_000_000
    assert await ask("what") == "answer 1"
    assert last_lookup().age == 0.0
    assert await ask("What") == "answer 1"
    assert last_lookup().age == 0.0
    assert last_lookup().duration_ms >= 0
    clock.now += 1_000_099
    assert await ask("what") == "answer 1"
    clock.now += 1
    assert await ask("what") == "answer 2"
    await engine.close()


@pytest.mark.parametrize(
    ("ttl", "seconds"), [("90s", 90), ("1h30m", 5400), (dt.timedelta(minutes=2), 120), (0.5, 0.5), ("7d", 604800)]
)
async def test_forms_of_a_ttl(clock, ttl, seconds):
    _, ask = make("memory://", clock, ttl=ttl)
    await ask("what")
    clock.now += seconds * 0.999
    assert await ask("what") == "answer 1"
    clock.now += seconds * 0.002
    assert await ask("what") == "answer 2"


async def test_for_ever(backend, clock):
    engine, ask = make(backend, clock, ttl=None)
    await ask("what")
    clock.now += 1e9
    assert await ask("what") == "answer 1"
    await engine.close()


@pytest.mark.parametrize("ttl", [-1, "soon", "", float("nan"), float("inf"), dt.timedelta(seconds=-1)])
def test_a_ttl_that_is_none(ttl):
    with pytest.raises(ValueError, match="ttl"):
        SemanticCache("memory://", ttl=ttl)


async def test_a_context_sets_the_ttl_of_what_is_stored_inside(clock):
    _, ask = make("memory://", clock, ttl=1000)
    with CacheContext(ttl="10s"):
        await ask("what")
    clock.now += 9
    assert await ask("what") == "answer 1"
    clock.now += 2
    assert await ask("what") == "answer 2"
    clock.now += 500
    assert await ask("what") == "answer 2"


async def test_an_expired_answer_does_not_hide_a_live_one_that_is_farther(backend, clock):
    engine, _ = make(backend, clock, similarity=0.9)
    await engine.store(Request("n", None, "nearest"), "gone soon", ttl=10)
    await engine.store(Request("n", None, "farther off in letters"), "still there", ttl=100)
    asked = Request("n", None, "close to")
    assert (await engine.lookup(asked)).response == "gone soon"
    clock.now += 11
    found = await engine.lookup(asked)
    assert (found.outcome, found.response) == ("near", "still there")
    await engine.close()
