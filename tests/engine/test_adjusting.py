"""`Engine.adjust`: the threshold and the TTL change while the cache is in use."""

import pytest

from semantic_llm_cache import Request, SemanticCache
from semantic_llm_cache.exceptions import EmbeddingUnavailableError
from semantic_llm_cache.similarity.base import EmbeddingProvider


def embed(text):
    return {"one": [1.0, 0.0], "nearly one": [0.95, 0.31225]}.get(text, [0.0, 1.0])


def engine(**options):
    return SemanticCache("memory://", embedder=embed, guards=None, **options)


async def test_the_next_call_sees_the_new_threshold():
    cache = engine(similarity=0.99)
    await cache.store(Request("direct", {}, "one"), "yes")
    near = Request("direct", {}, "nearly one")
    assert (await cache.lookup(near)).outcome == "miss"
    cache.adjust(similarity=0.9)
    assert cache.similarity == 0.9
    assert (await cache.lookup(near)).outcome == "near"
    cache.adjust(similarity=cache.options.similarity)
    assert (await cache.lookup(near)).outcome == "miss"


async def test_a_decorated_function_sees_it_too():
    seen = []
    cache = engine(similarity=0.99, on_event=seen.append)

    @cache.cache(namespace="functions")
    async def ask(prompt: str) -> str:
        return prompt.upper()

    await ask("one")
    engine_of_function = seen[0].handle[0]()
    engine_of_function.adjust(similarity=0.9, ttl="90s")
    assert await ask("nearly one") == "ONE"
    await ask("another")
    entries = dict(await cache.backend.iterate())
    assert [entry.ttl for entry in entries.values()] == [3600.0, 90.0]


async def test_a_context_still_decides_for_its_calls():
    from semantic_llm_cache import CacheContext

    cache = engine(similarity=0.9)
    cache.adjust(similarity=0.5)
    with CacheContext(similarity=0.99):
        await cache.store(Request("direct", {}, "one"), "yes")
        assert (await cache.lookup(Request("direct", {}, "nearly one"))).outcome == "miss"


async def test_a_ttl_of_none_is_for_ever():
    cache = engine()
    cache.adjust(ttl=None)
    assert cache.ttl is None
    await cache.store(Request("direct", {}, "one"), "yes")
    [(_, entry)] = await cache.backend.iterate()
    assert entry.ttl is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"similarity": 1.5}, "similarity=1.5"), ({"ttl": "soon"}, "ttl='soon'"), ({"ttl": -1}, "ttl=-1")],
)
def test_the_checks_are_those_of_the_options(changes, words):
    cache = engine(similarity=0.9)
    with pytest.raises(ValueError, match=words):
        cache.adjust(**{"similarity": 0.8, "ttl": 5, **changes})
    assert (cache.similarity, cache.ttl) == (0.9, 3600.0)


def test_what_decides_in_place_of_the_threshold_is_named():
    with pytest.raises(ValueError, match="max_error"):
        engine(similarity=0.9, max_error=0.02).adjust(similarity=0.8)
    with pytest.raises(ValueError, match="verify_band"):
        engine(similarity=0.9, verify=lambda *_: True, verify_band=(0.8, 0.9)).adjust(similarity=0.8)


def test_near_matching_needs_an_embedder():
    class Gone(EmbeddingProvider):
        fingerprint = "gone"

        def check(self):
            raise EmbeddingUnavailableError("there is none")

        def encode(self, text):
            raise AssertionError

        encode_batch = encode

    cache = SemanticCache("memory://", embedder=Gone())
    with pytest.raises(EmbeddingUnavailableError):
        cache.adjust(similarity=0.9)
    assert cache.similarity == 1.0
