"""Send the demo's prompts through a decorated function, and check every answer against its label."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from semantic_llm_cache.cli.demo.prompts import questions
from semantic_llm_cache.cli.demo.questions import Prompt

if TYPE_CHECKING:
    from semantic_llm_cache.similarity.base import EmbeddingProvider
    from semantic_llm_cache.storage.contract import StorageBackend

__all__ = ["NAMESPACE", "SPREAD", "Result", "Settings", "model_delay_ms", "run_demo"]

NAMESPACE = "demo"
SPREAD = 0.3
"""A call takes the mean delay, plus or minus at most this share of it."""


@dataclass(frozen=True)
class Settings:
    """The settings of a demo run.

    Args:
        similarity: cosine at which a near entry is a hit; 1.0 is exact only.
        delay_ms: mean time that the stand-in for a model takes.
        seed: decides the order of the prompts and the delay of each.
        concurrency: number of prompts in progress at the same time.
        limit: how many prompts of the stream are sent; None is all.
    """

    similarity: float = 0.9
    delay_ms: float = 350.0
    seed: int = 7
    concurrency: int = 4
    limit: int | None = None


@dataclass(frozen=True)
class Result:
    """The result of one prompt.

    Args:
        prompt: what was sent.
        outcome: the `Lookup`'s: ``"exact"``, ``"near"``, ``"coalesced"``, ``"miss"``, ``"error"``...
        similarity: cosine to the nearest stored prompt, where one was looked for and found.
        matched: that prompt.
        reason: the `Lookup`'s explanation.
        elapsed_ms: how long the caller waited.
        call_ms: how long the call to the model takes, made or not.
        answer: the answer that came back.
        right: whether that is the answer to this question.
        input_tokens, output_tokens: estimated size of the prompt and of its right answer.
    """

    prompt: Prompt
    outcome: str
    similarity: float | None
    matched: str | None
    reason: str
    elapsed_ms: float
    call_ms: float
    answer: str
    right: bool
    input_tokens: int
    output_tokens: int

    @property
    def hit(self) -> bool:
        """Return whether the answer came without a call of its own."""
        return self.outcome in ("exact", "near", "coalesced", "stale")


@dataclass(frozen=True)
class Run:
    """A run of the demo.

    Args:
        settings: the settings of the run.
        results: one for each prompt, in the order sent.
        calls: how often the model was called.
        warm_entries: entries that the cache held before.
        elapsed_ms: time from the first prompt to the last answer.
    """

    settings: Settings
    results: Sequence[Result]
    calls: int
    warm_entries: int
    elapsed_ms: float


def model_delay_ms(text: str, settings: Settings) -> float:
    """Return how long the stand-in takes for `text`: the same for the same text, whatever came before.

    Uniform between (1 - SPREAD) and (1 + SPREAD) times the mean.
    """
    # A checksum is spread evenly enough here, and needs no generator for every text.
    share = zlib.crc32(f"{settings.seed}:{text}".encode()) / 0xFFFFFFFF
    return settings.delay_ms * (1 + SPREAD * (2 * share - 1))


async def run_demo(
    stream: Sequence[Prompt],
    settings: Settings,
    backend: StorageBackend,
    embedder: EmbeddingProvider | None,
    on_result: Callable[[Result], None],
) -> tuple[list[Result], int]:
    """Send `stream`, some prompts at a time, and return a result for each and the number of calls made.

    Prompts are sent in groups; the next group starts when the whole group is answered, so that a run
    depends only on the order and not on the load of the machine.

    Args:
        stream: the prompts, in order.
        settings: how to run; `limit` is not applied here.
        backend: where the answers are kept; closed at the end.
        embedder: for near matches; None with a similarity of 1.
        on_result: called with each result as it arrives.
    """
    from semantic_llm_cache import SemanticCache, last_lookup
    from semantic_llm_cache.utils import estimate_tokens

    answers = {label: question.answer for label, question in questions().items()}
    labels = {prompt.text: prompt.label for prompt in stream}
    calls = 0

    # `@cache(similarity=..., ...)` does the same; an engine of its own can be closed, which writes the
    # last counts for `stats` before the backend is closed.
    engine = SemanticCache(backend, similarity=settings.similarity, ttl=None, namespace=NAMESPACE, embedder=embedder)

    @engine.cache
    async def ask(prompt: str) -> str:
        nonlocal calls
        calls += 1
        await asyncio.sleep(model_delay_ms(prompt, settings) / 1000)
        return answers[labels[prompt]]

    async def send(prompt: Prompt) -> Result:
        started = time.perf_counter()
        answer = await ask(prompt.text)
        elapsed = 1000 * (time.perf_counter() - started)
        lookup = last_lookup()
        right = answers[prompt.label]
        result = Result(
            prompt=prompt,
            outcome="error" if lookup is None else str(lookup.outcome),
            similarity=None if lookup is None else lookup.similarity,
            matched=None if lookup is None else lookup.matched_prompt,
            reason="" if lookup is None else lookup.reason,
            elapsed_ms=elapsed,
            call_ms=model_delay_ms(prompt.text, settings),
            answer=answer,
            right=answer == right,
            input_tokens=estimate_tokens(prompt.text),
            output_tokens=estimate_tokens(right),
        )
        on_result(result)
        return result

    results: list[Result] = []
    for start in range(0, len(stream), settings.concurrency):
        handful = stream[start : start + settings.concurrency]
        results += await asyncio.gather(*map(send, handful))
    await engine.close()
    return results, calls
