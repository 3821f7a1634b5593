"""What is said where near matching is off."""

import pytest

from semantic_llm_cache import CacheContext, CachedLLM, SemanticCache, cache, last_lookup
from semantic_llm_cache.similarity import DummyEmbeddingProvider

DUMMY = DummyEmbeddingProvider(8)


@pytest.mark.parametrize(
    "make",
    [
        lambda: cache(embedder=DUMMY),
        lambda: cache(similarity=1, embedder=DUMMY),
        lambda: SemanticCache("memory://").cache(embedder=DUMMY),
        lambda: SemanticCache("memory://", embedder=DUMMY, similarity=0.9).cache(similarity=1.0, embedder=DUMMY),
        lambda: CachedLLM(embedder=DUMMY),
    ],
)
def test_an_embedder_that_would_never_be_asked_is_refused(make):
    with pytest.raises(ValueError, match=r"embedder= has no effect with similarity=1.*similarity=0\.9"):
        make()


async def test_an_embedder_that_may_be_asked_is_taken():
    engine = SemanticCache("memory://", embedder=DUMMY)

    @engine.cache
    async def exact(prompt: str):
        return prompt

    @engine.cache(similarity=0.0, guards=None)
    async def near(prompt: str):
        return prompt

    assert await near("a") == await near("b") == "a"
    await exact("a")
    with CacheContext(similarity=0.0):
        await exact("b")
    engine.cache(embedder=DUMMY, similarity=0.5)
    cache(embedder=DUMMY, similarity=0.5)
    cache(embedder=None)
    CachedLLM(embedder=DUMMY, similarity=0.9)


async def test_a_miss_says_that_near_matching_is_off():
    engine = SemanticCache("memory://", embedder=DUMMY)

    @engine.cache()
    async def ask(prompt: str):
        return prompt

    await ask("a")
    assert last_lookup().reason == "no entry under this key, and near matching is off (similarity=1)"
    assert "near matching is off" in (await ask.cache_lookup("b")).reason
    with CacheContext(similarity=0.5):
        await ask("c")
    assert "near matching" not in last_lookup().reason
