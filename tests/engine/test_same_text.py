"""An entry with the very text that is asked is an exact hit, however it was found."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from semantic_llm_cache import Request, SemanticCache, get_stats, last_lookup
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.streams.stream import stream

TEXT = "What is Python?"


class Meanwhile:
    """An embedder during whose work something happens, once."""

    def __init__(self) -> None:
        self.happens = None

    async def __call__(self, text: str) -> list[float]:
        happens, self.happens = self.happens, None
        if happens is not None:
            await happens()
        return [1.0, 0.0, 0.0]


@pytest.fixture(params=["memory", "sqlite"])
def backends(request, tmp_path):
    """Two backends with one storage, as two processes have."""
    if request.param == "memory":
        backend = MemoryBackend()
        return backend, backend
    return SQLiteBackend(tmp_path / "cache.db"), SQLiteBackend(tmp_path / "cache.db")


def engine_on(backend, embedder=None, **options):
    given = {"similarity": 0.9, "embedder": embedder or Meanwhile(), "guards": None, **options}
    return SemanticCache(backend, **given)


def counts(namespace):
    stats = get_stats(namespace)
    return stats["exact_hits"], stats["near_hits"], stats["coalesced_hits"], stats["misses"]


@pytest.mark.parametrize("budget", [{}, {"max_error": 0.05, "similarity": 0.5}], ids=["threshold", "error budget"])
async def test_an_answer_stored_while_the_text_was_embedded_is_an_exact_hit(backends, request, budget):
    name = request.node.name
    embedder, events = Meanwhile(), []
    ours = engine_on(backends[0], embedder, namespace=name, on_event=events.append, **budget)
    asked = Request(name, None, TEXT)
    embedder.happens = lambda: engine_on(backends[1], embedder, namespace=name).store(asked, "theirs")

    async def never() -> str:
        raise AssertionError("it is in the cache")

    async def ask():
        return await ours.get_or_call(asked, never), last_lookup()

    found = await asyncio.gather(*(asyncio.create_task(ask()) for _ in range(5)))
    assert [answer for answer, _ in found] == ["theirs"] * 5
    for lookup in [*(lookup for _, lookup in found), *events]:
        assert (lookup.outcome, lookup.tier, lookup.similarity) == ("exact", "exact", 1.0)
        assert (lookup.entry_key, lookup.matched_prompt, lookup.reason) == (asked.key, TEXT, "same text, same scope")
    assert counts(name) == (5, 0, 0, 0)
    if budget:
        assert (await ours.online_policy()).summary()["exact"] == 5
    await ours.close()
    await backends[1].close()


async def test_so_it_is_for_a_lookup_a_stream_and_in_shadow_mode():
    backend = MemoryBackend()

    def meanwhile(name, answer, **options):
        """Return an engine and a request whose answer is stored while the engine embeds it."""
        embedder, asked = Meanwhile(), Request(name, None, TEXT)
        embedder.happens = lambda: engine_on(backend).store(asked, answer)
        return engine_on(backend, embedder, **options), asked

    ours, asked = meanwhile("lookups", "answer")
    assert (await ours.lookup(asked)).outcome == "exact"

    async def never() -> AsyncIterator[str]:
        raise AssertionError("it is in the cache")
        yield

    ours, asked = meanwhile("streams", ["a", "b"])
    assert [chunk async for chunk in stream(ours, asked, never, ours.settings(list[str]))] == ["a", "b"]
    assert last_lookup().outcome == "exact"

    async def call():
        return "answer"

    ours, asked = meanwhile("shadows", "answer", mode="shadow")
    await ours.get_or_call(asked, call)
    assert (last_lookup().would, last_lookup().would_be_right) == ("exact", True)


async def test_another_entry_that_is_as_near_does_not_take_its_place():
    backend, embedder = MemoryBackend(), Meanwhile()
    ours = engine_on(backend, embedder)
    await ours.store(Request("n", None, "what is python?"), "lower case")
    asked = Request("n", None, TEXT)
    assert (await ours.lookup(asked)).outcome == "near"
    embedder = Meanwhile()
    ours = engine_on(backend, embedder)
    embedder.happens = lambda: engine_on(backend, Meanwhile()).store(asked, "as asked")
    found = await ours.lookup(asked)
    assert (found.outcome, found.response) == ("exact", "as asked")


async def test_a_stale_answer_to_the_text_is_not_an_exact_hit():
    backend = MemoryBackend()
    now = [1000.0]
    ours = engine_on(backend, ttl=10, stale_if_error=100, clock=lambda: now[0])
    asked = Request("n", None, TEXT)
    await ours.store(asked, "old")
    now[0] += 11

    async def call():
        return "new"

    assert await ours.get_or_call(asked, call) == "new"
    assert last_lookup().outcome == "miss"


async def test_a_text_that_an_entry_names_as_its_alias_is_asked_by_its_own_words():
    backend = MemoryBackend()
    ours = engine_on(backend, similarity=0.9)
    other = Request("n", None, "Tell me about Python")
    await ours.store(other, "a language")
    entry = await backend.get(other.key)
    entry.aliases = (TEXT,)
    await backend.set(other.key, entry)
    found = await ours.lookup(Request("n", None, TEXT))
    assert (found.outcome, found.entry_key, found.matched_prompt) == ("exact", other.key, "Tell me about Python")
    assert found.reason == "same text as an alias of the entry"
    assert (await ours.lookup(Request("n", None, "What's Python?"))).outcome == "near"
    assert not (await ours.lookup(Request("n", {"tenant": 2}, TEXT))).hit


async def test_equal_texts_under_keys_of_ones_own_are_not_exact():
    ours = engine_on(MemoryBackend())
    await ours.store(Request("n", None, TEXT, key="one"), "answer")
    assert (await ours.lookup(Request("n", None, TEXT, key="two"))).outcome == "near"
    assert (await ours.lookup(Request("n", None, TEXT, key="one"))).outcome == "exact"
