"""Whole near hits in memory with the real model, by whichever version of our package the path holds first."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from benchmarks.workers.protocol import serve, time_awaits
from semantic_llm_cache import Request, SemanticCache
from semantic_llm_cache.backends import MemoryBackend
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.similarity import OnnxEmbeddingProvider

_loop = asyncio.new_event_loop()
_engines: list[SemanticCache] = []


def fill(
    questions: list[str], vectors: str, prompts: list[str], answer: str, similarity: float, precision: str | None
) -> int:
    """Store the questions with their embeddings, and the rows of the array file `vectors`, in one scope."""
    options: dict[str, Any] = {} if precision is None else {"precision": precision}  # unknown to the earlier commit
    provider = OnnxEmbeddingProvider(**options)
    provider.load()
    backend = MemoryBackend()
    engine = SemanticCache(backend, embedder=provider, similarity=similarity, timeout=30)
    scope = Request("bench", None, "").scope_hash

    async def store() -> None:
        for text in questions:
            await engine.store(Request("bench", None, text), answer, duration_ms=900.0)
        await backend.set_many(
            (
                Request("bench", None, prompt).key,
                CacheEntry(
                    prompt, answer, row, ttl=3600.0, namespace="bench", scope=scope, embedder=provider.fingerprint
                ),
            )
            for prompt, row in zip(prompts, np.load(vectors), strict=True)
        )

    _loop.run_until_complete(store())
    backend._index.indexer.wait(60)
    _engines.append(engine)
    return len(questions) + len(prompts)


def hit(texts: list[str]) -> float:
    """Time whole near hits, text in and answer out."""
    (engine,) = _engines

    def never() -> str:
        raise AssertionError("must be a hit")

    def ask(text: str) -> Any:
        return engine.get_or_call(Request("bench", None, text), never)

    return _loop.run_until_complete(time_awaits(ask, texts))


serve({"fill": fill, "hit": hit})
