"""What type checkers must see: `mypy --strict` accepts this file. Nothing of it is run."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from typing_extensions import assert_type

from semantic_llm_cache import (
    CacheConfig,
    CacheContext,
    CachedLLM,
    CacheStats,
    Lookup,
    Request,
    SemanticCache,
    StorageBackend,
    cache,
    clear_cache,
    export_cache,
    get_default_backend,
    get_stats,
    import_cache,
    invalidate,
    last_lookup,
    register_fingerprint,
    report_right,
    report_wrong,
    set_default_backend,
    warm_cache,
)
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.metrics.counters import CacheInfo
from semantic_llm_cache.similarity import EmbeddingProvider, cosine_similarity


class Reply:
    text: str


@cache
def bare(prompt: str, model: str = "m", *, temperature: float = 0.0) -> int:
    return len(prompt)


@cache()
async def called(prompt: str, *messages: str, **options: object) -> Reply:
    return Reply()


@cache(
    similarity=0.9,
    ttl="1h",
    backend=MemoryBackend(),
    namespace="faq",
    enabled=True,
    key_func=lambda prompt: prompt,
    embedder="dummy",
    prompt="prompt",
    ignore=("client",),
    scope={"tenant": 1},
    version=2,
    normalizer=str.lower,
    tags=["a"],
    cache_if=bool,
    result_type=Reply,
    on_event=print,
    on_error="raise",
    timeout=2.0,
)
async def all_options(prompt: str, client: object = None) -> list[Reply] | None:
    return None


assert_type(bare("q"), int)
assert_type(bare("q", "m", temperature=0.5), int)
assert_type(bare.with_lookup("q", temperature=0.5), tuple[int, Lookup])
assert_type(bare.cache_info(), CacheInfo)
assert_type(bare.cache_info().hit_rate, float)
plain: Callable[[str], int] = bare


async def awaited() -> None:
    assert_type(await called("q", "m", seed=1), Reply)
    assert_type(await all_options("q"), list[Reply] | None)
    needs_coroutine: Callable[[str], Coroutine[Any, Any, Reply]] = called
    assert_type(await needs_coroutine("q"), Reply)
    await called.cache_clear()
    await called.cache_invalidate("q")
    assert_type(await called.with_lookup("q", "m", seed=1), tuple[Reply, Lookup])
    assert_type(await all_options.with_lookup("q"), tuple[list[Reply] | None, Lookup])
    assert_type(await report_wrong(Lookup("miss").id), bool)
    assert_type(await report_right(Lookup("miss"), backend="memory://"), bool)
    lookup: Lookup = await called.cache_lookup("q")
    assert_type(lookup.hit, bool)
    assert_type(lookup.tier, str | None)
    assert_type(last_lookup(), Lookup | None)

    assert_type(await clear_cache("faq"), int)
    assert_type(await invalidate("x", tags=["a"]), int)
    assert_type(await warm_cache(["a"], called, namespace="faq", concurrency=2), int)
    assert_type(await export_cache(filepath="x.json"), list[dict[str, Any]])
    assert_type(await import_cache("x.json"), int)

    async with CacheContext(similarity=0.9, ttl=None, namespace="n", enabled=True) as context:
        assert_type(context, CacheContext)
        assert_type(context.stats, dict[str, Any])
        assert_type(context.lookups, list[Lookup])
    async with SemanticCache("memory://") as engine:
        assert_type(engine, SemanticCache)
        request = Request("n", {"m": 1}, "q")
        assert_type(await engine.lookup(request), Lookup)
        assert_type(await engine.store(request, "a"), bool)

    backend: StorageBackend = SQLiteBackend("x.db")
    assert_type(await backend.get("k"), CacheEntry | None)
    assert_type(await backend.find_similar([1.0], 0.9), tuple[str, CacheEntry, float] | None)
    set_default_backend(backend)
    assert_type(get_default_backend(), StorageBackend)


class Bot:
    @cache
    def ask(self, prompt: str, model: str = "m") -> str:
        return prompt

    @cache(ttl=60)
    async def aask(self, prompt: str) -> Reply:
        return Reply()

    @classmethod
    @cache
    def make(cls, prompt: str) -> int:
        return 1

    @staticmethod
    @cache
    def free(prompt: str) -> int:
        return 1


bot = Bot()
assert_type(bot.ask("q"), str)
assert_type(bot.ask("q", model="l"), str)
assert_type(Bot.ask(bot, "q"), str)
assert_type(bot.ask.cache_info(), CacheInfo)
assert_type(Bot.free("q"), int)
assert_type(Bot.free.with_lookup("q"), tuple[int, Lookup])
assert_type(bot.ask.with_lookup("q", model="l"), tuple[str, Lookup])


async def methods() -> None:
    assert_type(await bot.aask("q"), Reply)
    assert_type(await bot.aask.with_lookup("q"), tuple[Reply, Lookup])
    assert_type(await Bot.aask(bot, "q"), Reply)


class Mine(EmbeddingProvider):
    fingerprint = "mine"

    def encode_batch(self, texts: Any) -> Any:
        return texts


register_fingerprint(Reply, lambda reply: reply.text)
assert_type(cosine_similarity([1.0], [1.0]), float)
assert_type(get_stats(), dict[str, Any])
assert_type(CacheStats().hit_rate, float)
assert_type(CacheConfig(ttl="1h").namespace, str)
assert_type(CachedLLM("openai", "m", similarity=0.9).model, str)
