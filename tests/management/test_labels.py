from semantic_llm_cache import SemanticCache
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.management.labels import origin_of_entry


def shown(**fields):
    return str(origin_of_entry(CacheEntry("p", "r", scope="5f3a91c2d4e6f708", **fields)))


def test_what_an_entry_shows():
    assert shown() == "default 5f3a91c2"
    assert shown(namespace="faq", tags=("a", "function:app.ask")) == "faq app.ask 5f3a91c2"
    assert shown(tags=("model:gpt-x", "model:later")) == "gpt-x 5f3a91c2"


async def test_an_entry_of_a_decorated_function_names_it():
    async with SemanticCache("memory://") as engine:

        @engine.cache
        async def ask(prompt: str) -> str:
            return prompt

        await ask("a question")
        ((_, entry),) = await engine.backend.iterate()
    assert origin_of_entry(entry).function == f"{__name__}.{ask.__qualname__}"
