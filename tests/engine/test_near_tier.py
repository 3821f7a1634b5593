"""The near tier: what is compared, with what, and what never is."""

import asyncio

import pytest
from engine_helpers import limited

from semantic_llm_cache import (
    CacheContext,
    Request,
    SemanticCache,
    cache,
    last_lookup,
    set_default_backend,
    set_default_embedder,
)
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.similarity import DummyEmbeddingProvider, cosine_similarity, create_embedding_provider

PYTHON, OTHER = "What is Python?", "What's Python?"


@pytest.fixture(params=["memory", "sqlite"])
def backend(request, tmp_path):
    return MemoryBackend() if request.param == "memory" else SQLiteBackend(tmp_path / "cache.db")


async def outcome(awaitable):
    await awaitable
    return last_lookup().outcome


async def test_the_example_of_the_readme(backend):
    set_default_backend(backend)
    calls = []
    try:

        @cache(similarity=0.95)
        async def ask(prompt: str) -> str:
            calls.append(prompt)
            return f"about {prompt}"

        assert await ask(PYTHON) == "about What is Python?"
        assert await ask(OTHER) == "about What is Python?"
        assert last_lookup().outcome == "near"
        assert await ask("What is Rust?") == "about What is Rust?"
        assert calls == [PYTHON, "What is Rust?"]
    finally:
        set_default_backend(None)
        await backend.close()


async def test_the_similarity_is_the_cosine_of_the_model(backend):
    engine = SemanticCache(backend, similarity=0.9)

    @engine.cache()
    async def ask(prompt: str):
        return prompt

    await ask(PYTHON)
    await ask(OTHER)
    one, other = create_embedding_provider("auto").encode_batch([PYTHON, OTHER])
    assert last_lookup().similarity == pytest.approx(cosine_similarity(one, other), abs=2e-4)
    exactly = last_lookup().similarity
    with CacheContext(similarity=exactly):
        assert await outcome(ask(OTHER)) == "near", "the threshold itself is enough"
    with CacheContext(similarity=min(1.0, exactly + 1e-4)):
        assert await outcome(ask(OTHER)) == "miss"
    await engine.close()


async def test_only_equal_scopes_are_compared(backend):
    engine = SemanticCache(backend, similarity=0.9)

    @engine.cache()
    async def ask(prompt: str, model: str = "small", temperature: float = 0.0):
        return model

    @engine.cache()
    async def another_function(prompt: str, model: str = "small", temperature: float = 0.0):
        return "other"

    await ask(PYTHON)
    for other in (
        ask(OTHER, model="large"),
        ask(OTHER, temperature=0.1),
        another_function(OTHER),
    ):
        assert await outcome(other) == "miss"
    with CacheContext(namespace="tenant"):
        assert await outcome(ask(OTHER)) == "miss"
    assert await outcome(ask(OTHER)) == "near"
    assert await outcome(ask("What's this Python?", model="large")) in ("near", "miss")
    assert last_lookup().matched_prompt != PYTHON
    await engine.close()


async def test_a_backend_that_mixes_scopes_up_leaks_nothing():
    class Careless(MemoryBackend):
        async def find_candidates(self, embedding, threshold, *, scope=None, embedder=None, **rest):
            return await super().find_candidates(embedding, threshold, **rest)

    engine = SemanticCache(Careless(), similarity=0.9)
    await engine.store(Request("n", {"tenant": 1}, PYTHON), "secret")
    assert not (await engine.lookup(Request("n", {"tenant": 2}, OTHER))).hit
    assert not (await engine.lookup(Request("m", {"tenant": 1}, OTHER))).hit
    assert (await engine.lookup(Request("n", {"tenant": 1}, OTHER))).hit
    stranger = SemanticCache(engine.backend, similarity=0.9, embedder=lambda text: [1.0] + [0.0] * 383)
    assert not (await stranger.lookup(Request("n", {"tenant": 1}, OTHER))).hit


async def test_vectors_of_another_embedder_are_never_compared(backend):
    def letters(text):
        return [1.0, 0.001 * len(text)]

    def other_letters(text):
        return [1.0, 0.001 * len(text)]

    request, asked = Request("n", None, PYTHON), Request("n", None, OTHER)
    old = SemanticCache(backend, similarity=0.9, embedder=letters, guards=None)
    new = SemanticCache(backend, similarity=0.9, embedder=other_letters, guards=None)
    await old.store(request, "answer")
    assert (await old.lookup(asked)).outcome == "near"
    found = await new.lookup(asked)
    assert (found.outcome, found.similarity) == ("miss", None)
    assert (await new.lookup(request)).outcome == "exact", "equal text needs no vector"
    await new.store(Request("n", None, "What is it, Python?"), "newer")
    assert (await new.lookup(asked)).response == "newer"
    assert (await old.lookup(asked)).response == "answer"
    await backend.close()


async def test_what_auto_means_may_change():
    engine = SemanticCache("memory://", similarity=0.9)
    await engine.store(Request("n", None, PYTHON), "answer")
    assert (await engine.lookup(Request("n", None, OTHER))).hit
    set_default_embedder(DummyEmbeddingProvider())
    try:
        found = await engine.lookup(Request("n", None, OTHER))
        assert (found.outcome, found.similarity) == ("miss", None)
    finally:
        set_default_embedder(None)
    assert (await engine.lookup(Request("n", None, OTHER))).hit


async def test_text_that_the_model_does_not_read_whole_is_not_matched_near(backend):
    engine, calls = SemanticCache(backend, similarity=0.7), []

    @engine.cache()
    async def ask(prompt: str):
        calls.append(prompt)
        return len(calls)

    head = "Summarise the following report for the board, please. " * 60
    one, other = head + "The profit was large.", head + "The loss was large."
    assert await ask(one) == 1
    assert last_lookup().outcome == "miss"
    assert "exact" in last_lookup().reason
    assert await ask(other) == 2
    assert await ask(one) == 1
    assert last_lookup().outcome == "exact"
    assert [entry.embedding for _, entry in await backend.iterate()] == [None, None]
    assert await ask("Summarise the following report for the board, please.") == 3
    await engine.close()


async def test_a_text_of_nothing_is_not_compared(backend):
    engine = SemanticCache(backend, similarity=0.1, guards=None)

    @engine.cache()
    async def ask(prompt: str, model: str = "m"):
        return prompt + model

    await ask("")
    assert await ask("  \n") == "m", "outer space is no difference"
    assert last_lookup().outcome == "exact"
    assert await outcome(ask("x")) == "miss"
    await engine.close()


async def test_vectors_are_stored_only_for_near_matching(backend):
    exact, near = SemanticCache(backend), SemanticCache(backend, similarity=0.95)

    @exact.cache()
    async def exactly(prompt: str):
        return prompt

    @near.cache()
    async def nearly(prompt: str):
        return prompt

    await exactly(PYTHON)
    await nearly(PYTHON)
    found = sorted((entry.embedder, entry.embedding is not None) for _, entry in await backend.iterate())
    assert found == [("", False), (near.need_embedder().fingerprint, True)]
    await backend.close()


async def test_two_engines_share_a_backend(backend):
    one, other = SemanticCache(backend, similarity=0.95), SemanticCache(backend, similarity=0.5, namespace="other")
    request = Request("shared", None, PYTHON)
    await one.store(request, "answer")
    assert (await other.lookup(request)).outcome == "exact"
    assert (await other.lookup(Request("shared", None, OTHER))).outcome == "near"
    assert (await other.lookup(Request("other", None, OTHER))).outcome == "miss"
    await backend.close()


async def test_a_near_hit_in_a_context_only(backend):
    engine = SemanticCache(backend)

    @engine.cache()
    async def ask(prompt: str):
        return prompt

    with CacheContext(similarity=0.95):
        await ask(PYTHON)
        assert await ask(OTHER) == PYTHON
    assert await ask(OTHER) == OTHER
    await engine.close()


async def test_an_async_embedder_is_awaited_on_the_callers_loop():
    loops = []

    async def embed(text):
        loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return [1.0, 0.001 * len(text)]

    engine = SemanticCache("memory://", similarity=0.9, embedder=embed, guards=None)

    @engine.cache()
    async def ask(prompt: str):
        return prompt

    @engine.cache()
    def plain(prompt: str):
        return prompt

    await ask("hello there")
    assert await ask("hello, there") == "hello there"
    assert set(loops) == {asyncio.get_running_loop()}
    assert await limited(asyncio.to_thread(plain, "good day")) == "good day"
    assert await limited(asyncio.to_thread(plain, "good day!")) == "good day"
    assert plain("good day?!") == "good day", "also in a running loop's own thread"


@pytest.mark.parametrize("band", [{}, {"verify": lambda *pair: False, "verify_band": (0.9, 0.95)}])
async def test_the_reason_of_a_hit_is_not_the_veto_of_a_nearer_entry(band):
    vectors = {"book 3 seats": [1.0, 0.0], "reserve 2 seats": [0.99, 0.14], "book 2 seats": [1.0, 0.01]}
    engine = SemanticCache(MemoryBackend(), similarity=0.9, embedder=lambda text: vectors[text], **band)

    @engine.cache()
    async def ask(prompt: str):
        return prompt

    await ask("reserve 2 seats")
    await ask("book 3 seats")
    answer, lookup = await ask.with_lookup("book 2 seats")
    assert (answer, lookup.outcome, lookup.matched_prompt) == ("reserve 2 seats", "near", "reserve 2 seats")
    assert lookup.reason == f"similarity {lookup.similarity:.3f} >= 0.9"
    await engine.close()
