"""A cache that an assistant has used for an hour: the prompts of the demo, for pictures of the dashboard.

The prompts are sent at once, through a clock that says that they came one after the other during the last hour.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from semantic_llm_cache import SemanticCache
from semantic_llm_cache.cli.demo.prompts import build_stream, questions
from semantic_llm_cache.cli.demo.questions import Prompt
from semantic_llm_cache.config import CacheConfig
from semantic_llm_cache.server.operator import Operator
from semantic_llm_cache.storage.registry import resolve_backend

MODELS = ("small-model", "large-model")
Ask = Callable[[str, str], Awaitable[str]]
_SECONDS = 3300.0
REFUSAL = "I'm sorry, but I can't help with that request."


class PastClock:
    """Wall time, some seconds ago.

    Attributes:
        behind: how many seconds.
    """

    def __init__(self, behind: float = 0.0) -> None:
        self.behind = behind

    def __call__(self) -> float:
        """Return the time in seconds."""
        return time.time() - self.behind


class Hour:
    """Sends prompts through caches, as an assistant would.

    Args:
        delay: mean seconds that the stand-in for a model takes.
        seconds: how long ago the first prompt was sent.
    """

    def __init__(self, delay: float, seconds: float) -> None:
        self._delay = delay
        self._seconds = seconds
        self._answers = {label: question.answer for label, question in questions().items()}
        self._labels = {prompt.text: prompt.label for prompt in build_stream()}
        self.clock = PastClock(seconds)

    def assistant(self, cache: SemanticCache) -> Ask:
        """Return a function that answers prompts through a cache."""

        @cache.cache(cache_if=lambda answer: answer != REFUSAL)
        async def ask(prompt: str, model: str) -> str:
            number = zlib.crc32(prompt.encode())
            await asyncio.sleep(self._delay * (0.7 + 0.6 * (number % 1000) / 1000))
            return REFUSAL if number % 23 == 0 else self._answers[self._labels[prompt]]

        return ask

    async def run(self, ask: Ask, trial: Ask, prompts: Sequence[Prompt], together: int = 4) -> None:
        """Send the prompts, some of them at the same time, and half of the questions to the trial too."""
        for start in range(0, len(prompts), together):
            self.clock.behind = self._seconds * (1 - start / len(prompts))
            calls = []
            for prompt in prompts[start : start + together]:
                # The same question goes to the same model, so that it can be a hit.
                model = MODELS[zlib.crc32(prompt.label.encode()) % 3 == 0]
                calls.append(ask(prompt.text, model))
                if zlib.crc32(prompt.label.encode()) % 2 == 0:
                    calls.append(trial(prompt.text, model))
            await asyncio.gather(*calls)
        self.clock.behind = 0.0


@contextlib.asynccontextmanager
async def used_operator(backend: str = "memory://", delay: float = 0.25) -> AsyncIterator[Operator]:
    """Give an operator of caches that have been used for the last hour.

    Args:
        backend: where the answers are kept.
        delay: mean seconds that the stand-in for a model takes.
    """
    hour = Hour(delay, _SECONDS)
    operator = Operator(clock=hour.clock)
    options: dict[str, Any] = {
        "backend": resolve_backend(backend),
        "clock": hour.clock,
        "ttl": "7d",
        "price": CacheConfig(input_cost_per_1k=0.003, output_cost_per_1k=0.015),
    }
    assistant = SemanticCache(similarity=0.9, namespace="assistant", **options)
    trial = SemanticCache(similarity=0.8, namespace="trial", mode="shadow", **options)
    for cache in (assistant, trial):
        operator.add(cache)
    async with assistant, trial:
        # Kept while the operator is in use: it asks the cache of a miss whether its guards would have let it pass.
        functions = hour.assistant(assistant), hour.assistant(trial)
        await hour.run(*functions, build_stream())
        await asyncio.sleep(0.3)  # answers of the shadow mode are compared after the caller has its own
        yield operator
