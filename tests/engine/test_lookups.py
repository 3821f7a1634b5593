"""What happened to a call and why: `Lookup`, `last_lookup`, `on_event`, `CacheContext`."""

import asyncio
import re

import pytest
from engine_helpers import Clock, FaultyBackend, gathered

from semantic_llm_cache import CacheContext, Request, SemanticCache, get_stats, last_lookup
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend


@pytest.fixture(params=["memory", "sqlite"])
def backend(request, tmp_path):
    return MemoryBackend() if request.param == "memory" else SQLiteBackend(tmp_path / "cache.db")


async def test_the_fields_of_a_lookup(backend):
    clock = Clock()
    engine = SemanticCache(backend, similarity=0.95, clock=clock, namespace="faq")

    @engine.cache()
    async def ask(prompt: str):
        return prompt

    await ask("What is Python?")
    miss = last_lookup()
    assert (miss.outcome, miss.hit, miss.tier, miss.stored) == ("miss", False, None, True)
    assert (miss.reason, miss.similarity, miss.matched_prompt, miss.age) == ("no entries in scope", None, None, None)
    assert miss.prompt == "What is Python?"
    assert miss.namespace == "faq"
    clock.now += 7
    await ask("What is Python?")
    exact = last_lookup()
    assert (exact.outcome, exact.hit, exact.tier, exact.stored) == ("exact", True, "exact", False)
    assert (exact.similarity, exact.matched_prompt, exact.age) == (1.0, "What is Python?", 7)
    assert exact.entry_key == exact.key == miss.key
    assert exact.saved_usd > 0
    assert "Python" not in repr(exact), "prompts stay out of logs"
    await ask("What's Python?")
    near = last_lookup()
    assert (near.outcome, near.hit, near.tier) == ("near", True, "near")
    assert 0.95 <= near.similarity < 1
    assert (near.matched_prompt, near.prompt, near.age) == ("What is Python?", "What's Python?", 7)
    assert near.entry_key == miss.key != near.key
    assert re.fullmatch(r"similarity 0\.9\d\d >= 0\.95", near.reason)
    assert "0.95" in near.policy
    await ask("What is Rust?")
    far = last_lookup()
    assert far.outcome == "miss"
    assert far.similarity < 0.95
    assert far.matched_prompt == "What is Python?"
    assert re.fullmatch(r"nearest 0\.\d+ < 0\.95", far.reason)
    assert far.scope == near.scope == exact.scope
    assert all(lookup.duration_ms >= 0 for lookup in (miss, exact, near, far))
    await engine.close()


async def test_last_lookup_belongs_to_its_task(backend):
    engine = SemanticCache(backend)

    @engine.cache()
    async def ask(prompt: str):
        await asyncio.sleep(0.001)
        return prompt

    async def one(prompt):
        await ask(prompt)
        await asyncio.sleep(0.01)
        return last_lookup().prompt, last_lookup().outcome

    assert last_lookup() is None
    prompts = [str(n) for n in range(10)]
    assert await asyncio.gather(*map(one, prompts)) == [(prompt, "miss") for prompt in prompts]
    assert await asyncio.gather(*map(one, prompts)) == [(prompt, "exact") for prompt in prompts]
    assert last_lookup() is None, "what tasks do is not seen by who started them"
    await ask("1")
    assert last_lookup().prompt == "1"
    await engine.close()


async def test_on_event_gets_each_call_once(backend):
    told = []
    engine = SemanticCache(backend, similarity=0.95, on_event=told.append)
    engine.need_embedder().load()

    @engine.cache()
    async def ask(prompt: str):
        await asyncio.sleep(0.01)
        if prompt == "fail":
            raise ValueError("no")
        if prompt == "generator":
            return (n for n in [1])
        return prompt

    await gathered([asyncio.create_task(ask("What is Python?")) for _ in range(4)])
    await ask("What is Python?")
    await ask("What's Python?")
    outcomes = [lookup.outcome for lookup in told]
    assert sorted(outcomes[:4]) == ["coalesced", "coalesced", "coalesced", "miss"]
    assert outcomes[4:] == ["exact", "near"]
    told.clear()
    await gathered([asyncio.create_task(ask("fail")) for _ in range(3)])
    assert [lookup.outcome for lookup in told] == ["miss"] * 3
    assert {lookup.reason for lookup in told} == {"the function raised ValueError"}
    assert not any(lookup.stored for lookup in told)
    told.clear()
    with pytest.warns(UserWarning, match="uncached"):
        await gathered([asyncio.create_task(ask("generator")) for _ in range(3)])
    assert [lookup.outcome for lookup in told] == ["miss"] * 3
    told.clear()
    await ask.cache_lookup("What is Python?")
    assert told == [], "looking is no call"
    await engine.lookup(Request("n", None, "asked by hand"))
    assert [lookup.outcome for lookup in told] == ["miss"]
    await engine.close()


async def test_a_raising_on_event_is_harmless(backend, caplog):
    def fail(lookup):
        raise RuntimeError("hook")

    engine = SemanticCache(backend, on_event=fail)

    @engine.cache()
    async def ask(prompt: str):
        return prompt

    assert [await ask("x") for _ in range(3)] == ["x"] * 3
    assert ask.cache_info().exact_hits == 2
    assert caplog.text.count("on_event") == 1, "told once"
    await engine.close()


async def test_a_context_sees_what_happened_inside(backend):
    engine = SemanticCache(backend)

    @engine.cache()
    async def ask(prompt: str):
        if prompt == "fail":
            raise ValueError
        return prompt

    await ask("known")
    async with CacheContext() as outer:
        await ask("known")
        with CacheContext(enabled=False) as inner:
            await ask("known")
        await asyncio.gather(*(ask("new") for _ in range(3)))
        with pytest.raises(ValueError):
            await ask("fail")
        last = last_lookup()
    await ask("after")
    assert [lookup.outcome for lookup in inner.lookups] == ["bypass"]
    outcomes = [lookup.outcome for lookup in outer.lookups]
    assert outcomes[:2] == ["exact", "bypass"]
    assert sorted(outcomes[2:5]) == ["coalesced", "coalesced", "miss"]
    assert outcomes[5:] == ["miss"]
    assert last.reason == "the function raised ValueError"
    stats = outer.stats
    assert {name: stats[name] for name in ("hits", "misses", "exact_hits", "coalesced_hits", "bypassed")} == {
        "hits": 3, "misses": 2, "exact_hits": 1, "coalesced_hits": 2, "bypassed": 1,
    }  # fmt: skip
    assert stats["hit_rate"] == 3 / 5
    await engine.close()


async def test_counts_of_function_process_and_context_agree():
    engine = SemanticCache(FaultyBackend(), namespace="counted")
    before = get_stats("counted")
    assert before["total_requests"] == 0

    @engine.cache()
    async def ask(prompt: str):
        await asyncio.sleep(0.02)
        if prompt == "fail":
            raise ValueError
        return prompt

    with CacheContext() as context:
        await gathered([asyncio.create_task(ask("a")) for _ in range(3)])
        await ask("a")
        with pytest.raises(ValueError):
            await ask("fail")
    await ask("a")
    info, stats = ask.cache_info(), get_stats("counted")
    assert (info.hits, info.misses, info.exact_hits, info.coalesced_hits) == (4, 2, 2, 2)
    assert info.hit_rate == 4 / 6
    for name in ("hits", "misses", "exact_hits", "coalesced_hits", "errors"):
        assert stats[name] == getattr(info, name)
    assert stats["total_requests"] == 6
    assert stats["hit_rate"] == 4 / 6
    assert context.stats["hits"] == 3
    assert stats["estimated_savings_usd"] > 0
    assert 10 <= stats["total_saved_ms"] <= 2 * 10_000, "each exact hit saved what the call took"
    assert stats["miss_p50_ms"] >= 10
    assert stats["miss_p99_ms"] >= stats["miss_p50_ms"]
    assert stats["hit_p99_ms"] >= stats["hit_p50_ms"] > 0


async def test_a_lookup_by_hand_counts_as_a_request():
    engine = SemanticCache("memory://", namespace="by hand")
    request = Request("by hand", {"model": "m"}, "q")
    assert (await engine.lookup(request)).outcome == "miss"
    assert await engine.store(request, ["answer"], duration_ms=50)
    found = await engine.lookup(request)
    assert (found.outcome, found.response) == ("exact", ["answer"])
    info = engine.info()
    assert (info.hits, info.misses) == (1, 1)
    assert get_stats("by hand")["total_saved_ms"] > 0


async def test_a_context_reaches_calls_made_on_the_engine_itself():
    from semantic_llm_cache import CacheContext, Request, SemanticCache

    engine, calls = SemanticCache("memory://"), []

    async def call():
        calls.append(1)
        return len(calls)

    request = Request("n", None, "a")
    assert await engine.get_or_call(request, call) == 1
    with CacheContext(enabled=False):
        assert await engine.get_or_call(request, call) == 2
    with CacheContext(namespace="inner") as context:
        assert await engine.get_or_call(request, call) == 3
        assert await engine.get_or_call(request, call) == 3
        assert context.lookups[-1].namespace == "inner"
    assert await engine.get_or_call(request, call) == 1
