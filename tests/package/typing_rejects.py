"""What type checkers must refuse: each line with a comment, and no other. Nothing of it is run."""

from __future__ import annotations

from semantic_llm_cache import CacheContext, cache


@cache
def ask(prompt: str, model: str = "m") -> int:
    return 1


@cache(ttl="1h")
async def aask(prompt: str) -> str:
    return prompt


class Bot:
    @cache
    def ask(self, prompt: str) -> str:
        return prompt


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
