"""A whole near hit on SQLite, text in and answer out, against the bare embedding call.

Every text is new, so that nothing has its vector. The bare call is `encode` of the same provider in
this thread; the same on a thread of its own (`aencode`), which an event loop needs, stands beside it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from statistics import quantiles
from typing import Any

from benchmarks.data import ANSWER, clustered, question
from benchmarks.harness import Bench, at_most
from benchmarks.words import SIMILARITY, questions, wordings
from semantic_llm_cache import Request, SemanticCache
from semantic_llm_cache.backends import SQLiteBackend
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.similarity import OnnxEmbeddingProvider


def fill(bench: Bench, engine: SemanticCache, fingerprint: str, size: int) -> Iterator[str]:
    """Store 200 questions with their embeddings, and generated vectors up to `size` in the same scope.

    Returns wordings of the questions, without end.
    """
    count = bench.size(200, 24)

    async def store() -> None:
        for text in questions(count):
            await engine.store(Request("bench", None, text), ANSWER, duration_ms=900.0)
        rows = clustered(size - count)
        scope = Request("bench", None, "").scope_hash
        await engine.backend.set_many(
            (
                Request("bench", None, question(i)).key,
                CacheEntry(question(i), ANSWER, row, ttl=3600.0, namespace="bench", scope=scope, embedder=fingerprint),
            )
            for i, row in enumerate(rows)
        )
        await engine.lookup(Request("bench", None, "Hello, " + questions(1)[0]))

    bench.run(store())
    return wordings(count)


def run(bench: Bench) -> None:
    """Measure at 10,000 and 100,000 entries."""
    provider = OnnxEmbeddingProvider()
    provider.load()
    with bench.temporary() as folder:
        for size in (10_000, 100_000) if not bench.quick else (400,):
            bench.say(f"{size} entries: filling")
            backend = SQLiteBackend(folder / f"hit-{size}.db")
            engine = SemanticCache(backend, embedder=provider, similarity=SIMILARITY, timeout=30)
            asked = fill(bench, engine, provider.fingerprint, size)

            def never() -> str:
                raise AssertionError("must be a hit")

            def hit(text: str, engine: SemanticCache = engine, never: Any = never) -> Any:
                return engine.get_or_call(Request("bench", None, text), never)

            rounds, calls = 25, bench.size(8, 2)
            texts = list(itertools.islice(asked, calls * (bench.size(rounds, 2) + 1)))
            bench.say(f"{size} entries: against the bare embedding call")
            times = bench.interleave(
                [
                    bench.awaits("near hit", hit, texts, calls),
                    bench.calls("encode", provider.encode, texts, calls),
                    bench.awaits("aencode", provider.aencode, texts, calls),
                ],
                rounds,
            )
            what = f"{size:,} entries, whole near hit"
            bench.ratio(what, times, "near hit", "encode", at_most(1.25) if size == 100_000 else None)
            bench.ratio(what, times, "near hit", "aencode")
            alone = bench.run(_latencies(hit, list(itertools.islice(asked, bench.size(200, 10)))))
            bench.value(f"{what}, p99", quantiles(alone, n=100)[-1], "s", at_most(0.01, "s"), note="of single calls")
            bench.run(backend.close())
    bench.run(provider.close())


async def _latencies(hit: Any, texts: list[str]) -> list[float]:
    loop, found = asyncio.get_running_loop(), []
    for text in texts:
        began = loop.time()
        await hit(text)
        found.append(loop.time() - began)
    return found
