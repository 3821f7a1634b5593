"""What type checkers must refuse: each line with a comment (the code is mypy's), and no other. Nothing is run."""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from semantic_llm_cache import CacheContext, CachedLLM, SemanticCache, cache, sync
from semantic_llm_cache.integrations.httpx import wrap
from semantic_llm_cache.wire import WireCache

engine = SemanticCache("memory://")


@cache
def ask(prompt: str, model: str = "m") -> int:
    return 1


@cache(ttl="1h")
async def aask(prompt: str) -> str:
    return prompt


@engine.cache(version=2)
def kept(prompt: str) -> int:
    return 1


@cache
def words(prompt: str) -> Iterator[str]:
    yield prompt


class Bot:
    @cache
    def ask(self, prompt: str) -> str:
        return prompt

    @cache
    @classmethod
    def make(cls, prompt: str) -> int:
        return 1

    @staticmethod
    @cache
    def free(prompt: str) -> int:
        return 1


ask(3)  # refused: arg-type
ask("q", modell="m")  # refused: call-arg
ask()  # refused: call-arg
text: str = ask("q")  # refused: assignment
number: int = aask("q")  # refused: assignment
Bot().ask(3)  # refused: arg-type
Bot().ask("q", "r")  # refused: call-arg
ask.cache_nothing()  # refused: attr-defined
cache(similarity="high")  # refused: call-overload
cache(nonsense=1)  # refused: call-overload
CacheContext(ttl=[])  # refused: arg-type

kept(3)  # refused: arg-type
kept("q").upper()  # refused: attr-defined
engine.cache(similarty=0.9)  # refused: call-overload
engine.cache(mode="shadw")  # refused: call-overload
engine.derive(similarty=0.9)  # refused: call-arg
Bot.make(3)  # refused: arg-type
Bot().make("q", "r")  # refused: call-arg
Bot.free(3)  # refused: arg-type
Bot().free("q", "r")  # refused: call-arg
ask.cache_lookup(3)  # refused: arg-type
aask.cache_clear().bit_length()  # refused: attr-defined
kept.cache_lookup("q").hitt  # refused: attr-defined
chunk: int = next(words("q"))  # refused: assignment
SemanticCache(similarty=0.9)  # refused: arg-type
SemanticCache(mode="shadw")  # refused: arg-type
SemanticCache(single_flight="both")  # refused: arg-type
SemanticCache(verify_mode="later")  # refused: arg-type
cache(on_error="ignore")  # refused: call-overload
CachedLLM(on_error="ignore")  # refused: arg-type
CachedLLM(verify="the model")  # refused: arg-type
SemanticCache(same_answer="model")  # refused: arg-type
CachedLLM(prompt="q")  # refused: call-arg
CacheContext(similarty=0.9)  # refused: arg-type
WireCache(histry="exact")  # refused: call-arg
WireCache(tool_calls="both")  # refused: arg-type
wrap(httpx.Client(), similarty=0.9)  # refused: call-arg
wrap(httpx.Client(), tool_calls="both")  # refused: arg-type
wrap(httpx.Client()).nothing  # refused: attr-defined
sync.clear_cache(3)  # refused: arg-type
sync.invalidate(patern="x")  # refused: call-arg
sync.warm_cache(["q"], ask).upper()  # refused: attr-defined
