"""What type checkers must see: mypy and pyright, both strict, accept this file. Nothing of it is run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from typing import Any, TypeVar

import httpx
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
    sync,
    warm_cache,
)
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.integrations.httpx import wrap as wrap_httpx
from semantic_llm_cache.integrations.openai import wrap as wrap_openai
from semantic_llm_cache.metrics.counters import CacheInfo
from semantic_llm_cache.similarity import EmbeddingProvider, cosine_similarity
from semantic_llm_cache.wire import WireCache

T = TypeVar("T")


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
    key_func=str.lower,
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
    assert_type(await aparsed(Reply, "q"), Reply)
    assert_type(await called("q", "m", seed=1), Reply)
    assert_type(await all_options("q"), list[Reply] | None)
    needs_coroutine: Callable[[str], Coroutine[Any, Any, Reply]] = called
    assert_type(await needs_coroutine("q"), Reply)
    assert_type(await called.with_lookup("q", "m", seed=1), tuple[Reply, Lookup])
    assert_type(await all_options.with_lookup("q"), tuple[list[Reply] | None, Lookup])
    assert_type(await report_wrong(Lookup("miss").id), bool)
    assert_type(await report_right(Lookup("miss"), backend="memory://"), bool)
    assert_type(await called.cache_clear(), int)
    assert_type(await called.cache_invalidate("q"), bool)
    lookup = await called.cache_lookup("q", "m", seed=1)
    assert_type(lookup, Lookup)
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
        assert_type(await engine.preload(), bool)
        request = Request("n", {"m": 1}, "q")
        assert_type(await engine.lookup(request), Lookup)
        assert_type(await engine.store(request, "a"), bool)

    backend: StorageBackend = SQLiteBackend("x.db")
    assert_type(await backend.get("k"), CacheEntry | None)
    assert_type(await backend.find_similar([1.0], 0.9), tuple[str, CacheEntry, float] | None)
    set_default_backend(backend)
    assert_type(get_default_backend(), StorageBackend)


@cache
def parsed(prompt: str, kind: type[T]) -> T:
    return kind()


@cache(ttl=60)
async def aparsed(kind: type[T], prompt: str) -> T:
    return kind()


assert_type(parsed("q", Reply), Reply)
assert_type(bare.cache_clear(), int)
assert_type(bare.cache_invalidate("q"), bool)
assert_type(bare.cache_lookup("q", model="m"), Lookup)


# ------------------------------------------------------------------------------ methods


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

    @cache(ttl="1h")
    @classmethod
    def make_above(cls, prompt: str) -> int:
        return 1

    @cache
    @classmethod
    async def amake(cls, prompt: str) -> Reply:
        return Reply()

    @staticmethod
    @cache
    def free(prompt: str) -> int:
        return 1

    @cache
    @staticmethod
    def free_above(prompt: str) -> int:
        return 1

    @staticmethod
    @cache
    async def afree(prompt: str) -> Reply:
        return Reply()

    @staticmethod
    @cache
    def free_of_any(thing: Any, prompt: str) -> int:
        return 1

    @cache
    def of_any(self: Any, prompt: str) -> int:
        return 1

    @cache
    def parts(self, prompt: str) -> Iterator[str]:
        yield prompt


class Derived(Bot):
    pass


bot = Bot()
assert_type(bot.ask("q"), str)
assert_type(bot.ask("q", model="l"), str)
assert_type(Bot.ask(bot, "q"), str)
assert_type(Derived().ask("q"), str)
assert_type(bot.ask.cache_info(), CacheInfo)
assert_type(bot.ask.cache_lookup("q", model="l"), Lookup)
assert_type(Bot.ask.cache_invalidate(bot, "q"), bool)
assert_type(Bot.make("q"), int)
assert_type(bot.make("q"), int)
assert_type(Derived.make(prompt="q"), int)
assert_type(Bot.make_above("q"), int)
assert_type(bot.make_above("q"), int)
assert_type(Derived().make_above(prompt="q"), int)
assert_type(Bot.make_above.cache_lookup("q"), Lookup)
assert_type(bot.make.cache_invalidate("q"), bool)
assert_type(Bot.free("q"), int)
assert_type(Bot.free.with_lookup("q"), tuple[int, Lookup])
assert_type(bot.ask.with_lookup("q", model="l"), tuple[str, Lookup])
assert_type(bot.free("q"), int)
assert_type(Bot.free_above("q"), int)
assert_type(bot.free_above(prompt="q"), int)
assert_type(Bot.free.cache_lookup("q"), Lookup)
assert_type(Bot.free_above.cache_clear(), int)
assert_type(Bot.free_of_any(3, "q"), int)
assert_type(bot.of_any("q"), int)
assert_type(Bot.of_any(bot, "q"), int)
assert_type(bot.parts("q"), Iterator[str])
one_argument: Callable[[str], int] = bot.make


async def methods() -> None:
    assert_type(await bot.aask("q"), Reply)
    assert_type(await bot.aask.with_lookup("q"), tuple[Reply, Lookup])
    assert_type(await Bot.aask(bot, "q"), Reply)
    assert_type(await Bot.amake("q"), Reply)
    assert_type(await bot.amake("q"), Reply)
    assert_type(await Bot.afree("q"), Reply)
    assert_type(await bot.afree("q"), Reply)
    assert_type(await bot.aask.cache_lookup("q"), Lookup)
    assert_type(await bot.amake.cache_clear(), int)
    assert_type(await Bot.afree.cache_invalidate("q"), bool)


# ------------------------------------------------------------------------------ an engine's own decorator

engine = SemanticCache("memory://", similarity=0.9, mode="shadow", single_flight="shared", on_error="raise")


@engine.cache
def kept(prompt: str, model: str = "m") -> int:
    return 1


@engine.cache(ttl="1h", tags=["a"], ignore=("client",), verify_mode="background", max_prompt=10, backend="memory://")
async def akept(prompt: str, client: object = None) -> Reply:
    return Reply()


class Kept:
    @engine.cache
    def ask(self, prompt: str) -> str:
        return prompt

    @engine.cache(version=2)
    @classmethod
    def make(cls, prompt: str) -> int:
        return 1


assert_type(kept("q", model="l"), int)
assert_type(kept.cache_lookup("q"), Lookup)
assert_type(engine.cache(len, prompt="obj")("q"), int)
assert_type(Kept().ask("q"), str)
assert_type(Kept.make("q"), int)
assert_type(engine.derive(ttl=3, mode="serve"), SemanticCache)
assert_type(repr(engine), str)


async def kept_ones() -> None:
    assert_type(await akept("q", client=3), Reply)
    assert_type(await akept.cache_lookup("q"), Lookup)


# ------------------------------------------------------------------------------ streams


@cache
def words(prompt: str) -> Iterator[str]:
    yield prompt


@cache(replay_delay=0.1)
def generated(prompt: str) -> Generator[str, None, None]:
    yield prompt


@cache
async def awords(prompt: str) -> AsyncIterator[str]:
    yield prompt


@engine.cache
async def agenerated(prompt: str) -> AsyncGenerator[Reply, None]:
    yield Reply()


assert_type(list(words("q")), list[str])
assert_type(next(generated("q")), str)
assert_type(words.cache_lookup("q"), Lookup)


async def streams() -> None:
    assert_type([part async for part in awords("q")], list[str])
    assert_type([part async for part in agenerated(prompt="q")], list[Reply])
    await agenerated("q").aclose()
    assert_type(await awords.cache_lookup("q"), Lookup)
    assert_type(await agenerated.cache_invalidate("q"), bool)


# ------------------------------------------------------------------------------ clients

client = wrap_httpx(httpx.Client(), similarity=0.95, ttl="1h", tool_calls="cache", neutral_headers=("x-trace",))
assert_type(client, httpx.Client)
assert_type(wrap_httpx(httpx.AsyncClient(), door=WireCache(engine)), httpx.AsyncClient)
assert_type(wrap_openai(Reply(), similarity=0.95), Reply)  # of any type: reading the SDK takes seconds


# ------------------------------------------------------------------------------ the rest


# In plain code.
assert_type(sync.clear_cache("faq"), int)
assert_type(sync.invalidate("x", tags=["a"], backend="memory://"), int)
assert_type(sync.warm_cache(["a"], called, namespace="faq", concurrency=2), int)
assert_type(sync.export_cache(filepath="x.json"), list[dict[str, Any]])
assert_type(sync.import_cache("x.json"), int)
assert_type(sync.report_wrong(bare.cache_lookup("q")), bool)
with SemanticCache("memory://") as plain_engine:
    assert_type(plain_engine, SemanticCache)
    assert_type(plain_engine.preload_blocking(), bool)


class Mine(EmbeddingProvider):
    @property
    def fingerprint(self) -> str:
        return "mine"

    def encode_batch(self, texts: Any) -> Any:
        return texts


register_fingerprint(Reply, lambda reply: reply.text)
assert_type(cosine_similarity([1.0], [1.0]), float)
assert_type(get_stats(), dict[str, Any])
assert_type(CacheStats().hit_rate, float)
assert_type(CacheConfig(ttl="1h").namespace, str)
assert_type(CachedLLM("openai", "m", similarity=0.9).model, str)
CachedLLM("openai", "m", similarity=0.9, same_answer="model", verify="model")
