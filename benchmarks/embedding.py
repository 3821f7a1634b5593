"""The embedder: one text, batches, 8 bits beside fp32, and 128 near lookups at once against the same without batching.

The floor is the bare call: `encode` of the provider, which runs tokenizer and model in this thread.
"""

from __future__ import annotations

import asyncio
import itertools
from statistics import median
from time import perf_counter, process_time
from typing import Any

from benchmarks.harness import Bench, Contender, Times, at_least, at_most
from benchmarks.words import QUESTION_LENGTHS, SIMILARITY, questions, text_of, wordings
from semantic_llm_cache import Request, SemanticCache
from semantic_llm_cache.backends import MemoryBackend
from semantic_llm_cache.similarity import OnnxEmbeddingProvider


def run(bench: Bench) -> None:
    """Measure one text at a time, batches, and concurrent lookups."""
    provider = OnnxEmbeddingProvider()
    provider.load()
    for tokens in (12, 120):
        _single(bench, provider, tokens)
    bench.run(provider.close())
    _precisions(bench)
    _concurrent(bench)


def _precisions(bench: Bench) -> None:
    sides = {name: OnnxEmbeddingProvider(precision=name) for name in ("int8", "fp32")}
    for name, provider in sides.items():
        provider.load()
        if provider.precision != name:
            bench.missing("int8", "it does not work on this machine")
            return
    for tokens, together, target in ((12, 1, at_most(0.55)), (120, 1, None), (12, 32, at_most(0.5)), (120, 32, None)):
        together = bench.size(together, min(together, 2))
        bench.say(f"int8 beside fp32: {tokens} tokens, {together} at a time")
        texts = [text_of(tokens, seed) for seed in range(256)]
        items = [texts[i : i + together] for i in range(0, 256, together)]
        calls = bench.size(max(1, 240 // (tokens * together)), 1)
        contenders = [bench.calls(name, provider.encode_batch, items, calls) for name, provider in sides.items()]
        times = bench.interleave(contenders, 25)
        what = f"{tokens} tokens, int8" if together == 1 else f"{tokens} tokens, batch of {together}, int8"
        used = bench.interleave([_processor(name, sides[name], items, calls) for name in sides], 9)
        rates = {name: f"{together / median(seconds):.0f}" for name, seconds in times.items()}
        bench.ratio(what, times, "int8", "fp32", target, note=f"{rates['int8']} texts/s, fp32 {rates['fp32']}")
        bench.ratio(f"{what}, processor time", used, "int8", "fp32", target)
    _questions(bench, sides)
    for provider in sides.values():
        bench.run(provider.close())


def _questions(bench: Bench, sides: dict[str, OnnxEmbeddingProvider]) -> None:
    """Measure 32 questions as long as real ones: in runs of like length, and in one run padded to the longest."""
    bench.say("32 questions of different lengths")
    lengths = QUESTION_LENGTHS[: bench.size(32, 3)]
    items = [[text_of(tokens, seed + i) for i, tokens in enumerate(lengths)] for seed in range(0, 256, 32)]
    calls = bench.size(3, 1)
    contenders = [bench.calls(name, provider.encode_batch, items, calls) for name, provider in sides.items()]
    padded = {name: _PaddedTogether(precision=name) for name in sides}
    contenders += [bench.calls(f"{name} in one run", padded[name].encode_batch, items, calls) for name in sides]
    times = bench.interleave(contenders, 15)
    what = f"{len(lengths)} questions of {lengths[0]} to {lengths[-1]} tokens"
    bench.ratio(f"{what}, int8", times, "int8", "fp32", at_most(0.5))
    for name in sides:
        bench.ratio(f"{what}, {name}", times, name, f"{name} in one run")
    for provider in padded.values():
        bench.run(provider.close())


class _PaddedTogether(OnnxEmbeddingProvider):
    """Embeds each batch as one run."""

    def _run_sorted(self, session: Any, rows: list[list[int]]) -> Any:
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        vectors = self._run(session, [rows[i] for i in order])
        return vectors[sorted(range(len(rows)), key=order.__getitem__)]


def _processor(name: str, provider: OnnxEmbeddingProvider, items: list[list[str]], calls: int) -> Contender:
    """Return a side that is timed by the processor's time, which other processes hardly change."""
    supply = itertools.cycle(items)

    def batch(count: int) -> float:
        began = process_time()
        for texts in itertools.islice(supply, count):
            provider.encode_batch(texts)
        return process_time() - began

    return Contender(name, batch, calls)


def _single(bench: Bench, provider: OnnxEmbeddingProvider, tokens: int) -> None:
    bench.say(f"{tokens} tokens")
    texts = [text_of(tokens, seed) for seed in range(256)]
    together = bench.size(32, 4)
    rounds = 9
    times = bench.interleave(
        [
            bench.calls("encode", provider.encode, texts, bench.size(20, 2)),
            bench.awaits("aencode", provider.aencode, texts, bench.size(20, 2)),
            bench.calls(
                "encode_batch",
                provider.encode_batch,
                [texts[i : i + together] for i in range(0, 256, together)],
                bench.size(4, 1),
            ),
        ],
        rounds,
    )
    bench.ratio(f"{tokens} tokens, aencode", times, "aencode", "encode")
    each = [seconds / together for seconds in times["encode_batch"]]
    bench.ratio(
        f"{tokens} tokens, each of a batch of {together}", {**times, "encode_batch": each}, "encode_batch", "encode",
        note=f"{1 / median(times['encode']):.0f} texts/s one by one, {1 / median(each):.0f} in batches",
    )  # fmt: skip


def _concurrent(bench: Bench) -> None:
    together, count = bench.size(128, 8), bench.size(200, 24)
    sides: dict[str, SemanticCache] = {}
    for name, most in (("batched", 32), ("unbatched", 1)):
        provider = OnnxEmbeddingProvider(max_batch=most)
        engine = SemanticCache(MemoryBackend(), embedder=provider, similarity=SIMILARITY, timeout=30)
        bench.run(_store(engine, count))
        sides[name] = engine
    asked = wordings(count)
    walls: Times = {name: [] for name in sides}
    slow: Times = {name: [] for name in sides}
    bench.say(f"{together} lookups at once")
    for number in range(-1, bench.size(9, 2)):
        texts = list(itertools.islice(asked, together))
        names = list(sides)
        for name in names if number % 2 else reversed(names):
            wall, latencies = bench.run(_at_once(sides[name], texts))
            if number >= 0:
                walls[name].append(wall)
                slow[name].append(sorted(latencies)[int(0.95 * len(latencies))])
    rates = {name: [together / wall for wall in walls[name]] for name in sides}
    what = f"{together} near lookups at once"
    bench.ratio(f"{what}, per second", rates, "batched", "unbatched", at_least(1.4), unit="/s")
    bench.ratio(f"{what}, p95", slow, "batched", "unbatched", at_most(0.5))


async def _store(engine: SemanticCache, count: int) -> None:
    await asyncio.gather(*(engine.store(Request("bench", None, text), "An answer.") for text in questions(count)))


async def _at_once(engine: SemanticCache, texts: list[str]) -> tuple[float, list[float]]:
    latencies: list[float] = []

    async def one(text: str) -> None:
        began = perf_counter()
        found: Any = await engine.lookup(Request("bench", None, text))
        latencies.append(perf_counter() - began)
        if not found.hit:
            raise AssertionError(f"{text!r} is no hit: {found.reason}")

    began = perf_counter()
    await asyncio.gather(*(one(text) for text in texts))
    return perf_counter() - began, latencies
