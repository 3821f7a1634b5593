"""The command `demo`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from semantic_llm_cache._installation import install
from semantic_llm_cache.cli.common import CommandError, cache_options, open_backend, run_async
from semantic_llm_cache.cli.output import dim, print_json, say
from semantic_llm_cache.cli.parsing import COUNT, SIMILARITY, Args, Number, command, option

if TYPE_CHECKING:
    from semantic_llm_cache.cli.demo.questions import Prompt
    from semantic_llm_cache.cli.demo.summary import Summary
    from semantic_llm_cache.similarity.base import EmbeddingProvider
    from semantic_llm_cache.storage.contract import StorageBackend

__all__ = ["demo_command"]

_NEEDS_MODEL = f"demo needs the embedding model: run  {install('semantic')}  and  semantic-llm-cache model install"


@command("demo", "demo", "demo --db cache.db  # the second run starts warm", "demo --similarity 0.95")
@cache_options(default="memory")
@option(
    "--similarity",
    type=SIMILARITY,
    default=0.9,
    metavar="COSINE",
    help="Least cosine of a near hit, 0 to 1; 1 is exact only.",
)
@option(
    "--delay-ms",
    type=Number("a number of milliseconds, at most 60000", 0, 60_000),
    default=350,
    metavar="MS",
    help="Mean time of a call, give or take 30 %.",
)
@option("--concurrency", type=COUNT, default=4, metavar="N", help="Prompts in progress at the same time.")
@option("--seed", type=int, default=7, metavar="N", help="Decides the order of the prompts and the delays.")
@option("--no-progress", is_flag=True, show_default=False, help="Show no progress bar on stderr.")
@option("--limit", type=COUNT, hidden=True)
def demo_command(args: Args) -> int:
    """Send some 300 prompts of a help desk's day to a cached function that stands for a model.

    They are paraphrases, repeats, and traps such as "5 miles" after "6 miles". Every prompt is labelled, so the
    report can say which hits were wrong. Nothing leaves this machine.
    """
    from semantic_llm_cache.cli.demo.report import report
    from semantic_llm_cache.config import CacheConfig
    from semantic_llm_cache.exceptions import EmbeddingUnavailableError

    prices = CacheConfig()
    rates = (prices.input_cost_per_1k, prices.output_cost_per_1k)
    try:
        summary, where = run_async(_demo(args, rates))
    except EmbeddingUnavailableError as error:
        detail = "" if "model install" in str(error) else f" ({error})"
        raise CommandError(_NEEDS_MODEL + detail, code=2) from error
    if args.json:
        print_json(summary.as_json())
        return 0
    say("\n".join(report(summary, where, rates)))
    if args.db is None and args.url is None:
        say(dim("\nRun it twice with --db cache.db, and the second run starts warm."))
    return 0


async def _demo(args: Args, rates: tuple[float, float]) -> tuple[Summary, str]:
    from semantic_llm_cache.cli.demo.prompts import build_stream
    from semantic_llm_cache.cli.demo.run import NAMESPACE, Result, Run, Settings, run_demo
    from semantic_llm_cache.cli.demo.summary import summarise
    from semantic_llm_cache.cli.progress import Progress

    settings = Settings(
        similarity=args.similarity,
        delay_ms=args.delay_ms,
        seed=args.seed,
        concurrency=args.concurrency,
        limit=args.limit,
    )
    embedder = await _load_embedder() if settings.similarity < 1 else None
    stream = build_stream(settings.seed)[: settings.limit]
    async with _backend(args) as backend:
        warm = sum([1 async for _ in backend.scan(namespace=NAMESPACE)])
        if warm and not args.no_progress:
            say(f"starting warm with {warm:,} entries", err=True)
        counts = {"exact": 0, "near": 0, "coalesced": 0, "calls": 0}
        with Progress(len(stream), enabled=not args.no_progress) as progress:

            def on_result(result: Result) -> None:
                counts[result.outcome if result.outcome in counts else "calls"] += 1
                progress.step("  ".join(f"{number} {name}" for name, number in counts.items()))

            started = time.perf_counter()
            results, calls = await run_demo(stream, settings, backend, embedder, on_result)
            elapsed = 1000 * (time.perf_counter() - started)
        where = "in memory" if args.db is None and args.url is None else backend.url
    run = Run(settings, results, calls, warm, elapsed)
    summary = summarise(run, cosines=await _trap_cosines(stream, embedder), rates=rates)
    return summary, where


def _backend(args: Args) -> AbstractAsyncContextManager[StorageBackend]:
    if args.db is None and args.url is None:
        # SEMANTIC_LLM_CACHE_URL may name a cache in use: a demo must not write to it unless asked.
        from semantic_llm_cache.backends import MemoryBackend

        return MemoryBackend()
    return open_backend(args, create=True)


async def _load_embedder() -> EmbeddingProvider:
    """Return the embedder, already loaded: the first prompt should not wait for that."""
    import asyncio

    from semantic_llm_cache.similarity import create_embedding_provider

    embedder: EmbeddingProvider = create_embedding_provider("auto")
    await asyncio.to_thread(embedder.load)
    return embedder


async def _trap_cosines(
    stream: Sequence[Prompt], embedder: EmbeddingProvider | None
) -> Mapping[tuple[str, str], float]:
    from semantic_llm_cache.similarity import cosine_similarity

    pairs = [(prompt.text, prompt.twin) for prompt in stream if prompt.kind == "trap"]
    if embedder is None or not pairs:
        return {}
    vectors = await embedder.aencode_batch([text for pair in pairs for text in pair])
    return {pair: cosine_similarity(vectors[2 * i], vectors[2 * i + 1]) for i, pair in enumerate(pairs)}
