"""The event loop under concurrent near hits on SQLite and in memory, the model loaded and the garbage
collector on; and under what goes through all entries in memory.

A ticker on the loop sleeps a millisecond again and again: by how much it oversleeps at most is the
longest stall of a round. Idle rounds, as long as the busy ones, show what the machine itself does; where
busy rounds hold a full garbage collection, they do too.
Every callback that the loop runs is timed too, so that a long one can be named. So is each round of the loop, which
runs all callbacks that are ready, by the processor time of its thread: other processes and threads leave that alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
from asyncio import base_events, events
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from statistics import median
from time import perf_counter, thread_time
from typing import Any

from benchmarks.harness import Bench, Figure, at_most
from benchmarks.hit import fill
from benchmarks.words import SIMILARITY
from semantic_llm_cache import Request, SemanticCache
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.similarity import OnnxEmbeddingProvider
from semantic_llm_cache.storage import StorageBackend

_TICK = 0.001
_OWN = ("_longest_stall", "_measure")  # callbacks of the benchmark itself


@dataclass
class _Longest:
    """The longest callback so far, and the longest round of the loop, by processor time."""

    seconds: float = 0.0
    name: str = ""
    round_seconds: float = 0.0


@contextlib.contextmanager
def _timed_callbacks() -> Iterator[_Longest]:
    """Time every callback of every loop."""
    longest = _Longest()
    original: Any = events.Handle._run

    def timed(handle: Any) -> None:
        began = perf_counter()
        original(handle)
        took = perf_counter() - began
        if took > longest.seconds and not (name := _name(handle)).startswith(_OWN):
            longest.seconds, longest.name = took, name

    rounds: Any = base_events.BaseEventLoop
    run_once = rounds._run_once

    def timed_round(loop: Any) -> None:
        began = thread_time()
        run_once(loop)
        longest.round_seconds = max(longest.round_seconds, thread_time() - began)

    events.Handle._run = timed  # type: ignore[method-assign,assignment]
    rounds._run_once = timed_round
    try:
        yield longest
    finally:
        events.Handle._run = original  # type: ignore[method-assign]
        rounds._run_once = run_once


def _name(handle: Any) -> str:
    callback = handle._callback
    task = getattr(callback, "__self__", None)
    if isinstance(task, asyncio.Task):
        return getattr(task.get_coro(), "__qualname__", "a task")
    return getattr(callback, "__qualname__", repr(callback))


async def _longest_stall(work: Any) -> float:
    """Return by how much the ticker overslept at most while `work` ran."""
    worst, done = 0.0, False

    async def tick() -> None:
        nonlocal worst
        while not done:
            began = perf_counter()
            await asyncio.sleep(_TICK)
            worst = max(worst, perf_counter() - began - _TICK)

    ticker = asyncio.ensure_future(tick())
    await asyncio.sleep(5 * _TICK)
    await work
    done = True
    await ticker
    return worst


def run(bench: Bench) -> None:
    """Measure 50 hits at once with 10,000 entries, and 200 with 100,000 and a full garbage collection."""
    provider = OnnxEmbeddingProvider()
    provider.load()
    sizes = [(50, 10_000, False), (200, 100_000, False), (200, 100_000, True)]
    if bench.quick:
        sizes = [(8, 400, False), (8, 400, True)]
    with bench.temporary() as folder:
        for store in ("SQLite", "memory"):
            for size in sorted({size for _, size, _ in sizes}):
                backend: StorageBackend
                backend = MemoryBackend() if store == "memory" else SQLiteBackend(folder / f"loop-{size}.db")
                bench.say(f"{store}, {size} entries: filling")
                engine = SemanticCache(backend, embedder=provider, similarity=SIMILARITY, timeout=30)
                asked = fill(bench, engine, provider.fingerprint, size)
                for together, wanted, collect in sizes:
                    if wanted == size:
                        bench.say(f"{store}, {together} at once{', full collections' if collect else ''}")
                        _measure(bench, engine, asked, store, together, size, collect)
                if store == "memory" and size == sizes[-1][1]:
                    _upkeep(bench, backend, size)
                bench.run(engine.close())
    bench.run(provider.close())


def _upkeep(bench: Bench, backend: StorageBackend, size: int) -> None:
    """Measure what goes through all entries, clearing last."""

    async def scan() -> int:
        return len([None async for _ in backend.scan()])

    async def in_a_task(work: Callable[[], Awaitable[Any]]) -> None:
        async def upkeep() -> None:
            await work()

        await asyncio.ensure_future(upkeep())

    works: dict[str, Callable[[], Awaitable[Any]]] = {
        "get_stats": backend.get_stats,
        "scan": scan,
        "iterate": backend.iterate,
        "invalidate": lambda: backend.invalidate("no prompt holds this"),
        "clear": backend.clear,
    }
    for name, work in works.items():
        bench.say(f"memory, {name}")
        stalls: list[float] = []
        callbacks: list[float] = []
        for _ in range(1 if name == "clear" else bench.size(5, 1)):
            gc.collect()
            with _timed_callbacks() as longest:
                stalls.append(bench.run(_longest_stall(in_a_task(work))))
            callbacks.append(longest.seconds)
        note = f"median over rounds; longest stall of the loop {median(stalls) * 1000:.2f} ms"
        if name == "iterate":
            note += "; the collector walks the list as it grows: scan() is for large caches"
        bench.value(
            f"memory, {name}, {size:,} entries: longest callback",
            median(callbacks),
            "s",
            at_most(0.005, "s"),
            note=note,
        )


def _measure(
    bench: Bench, engine: SemanticCache, asked: Iterator[str], store: str, together: int, size: int, collect: bool
) -> None:
    busy: list[float] = []
    idle: list[float] = []
    callbacks: list[_Longest] = []

    async def rest(seconds: float) -> None:
        await asyncio.sleep(0.005)
        if collect:
            gc.collect()
        await asyncio.sleep(max(0.0, seconds - 0.005))

    async def work(texts: list[str]) -> None:
        lookups = [asyncio.ensure_future(engine.lookup(Request("bench", None, text))) for text in texts]
        if collect:
            await asyncio.sleep(0.005)
            gc.collect()
        for lookup in await asyncio.gather(*lookups):
            if not lookup.hit:
                raise AssertionError(f"no hit: {lookup.reason}")

    for number in range(-1, bench.size(25 if size <= 10_000 else 7, 2)):
        texts = list(itertools.islice(asked, together))
        gc.collect()
        with _timed_callbacks() as longest:
            began = perf_counter()
            stall = bench.run(_longest_stall(work(texts)))
            took = perf_counter() - began
        gc.collect()
        quiet = bench.run(_longest_stall(rest(took)))
        if number >= 0:
            busy.append(stall)
            idle.append(quiet)
            callbacks.append(longest)
    what = f"{store}, {together} at once, {size:,} entries" + (", with a full garbage collection" if collect else "")
    worst = max(callbacks, key=lambda one: one.seconds)
    middle = median(one.seconds for one in callbacks)
    ratios = [a / b for a, b in zip(busy, idle, strict=True)]
    beside = "idle loop, collecting" if collect else "idle loop"
    bench.add(
        Figure(
            bench.subset, f"{what}: longest stall", median(busy), "s", beside, median(idle), median(ratios),
            min(ratios), max(ratios), at_most(0.005, "s"),
            f"stalls from {min(busy) * 1000:.2f} to {max(busy) * 1000:.2f} ms",
        )
    )  # fmt: skip
    bench.value(
        f"{what}: longest callback", middle, "s", at_most(0.005, "s"),
        note=f"median over rounds; the longest of all took {worst.seconds * 1000:.2f} ms: {worst.name}",
    )  # fmt: skip
    if not collect:
        bench.value(
            f"{what}: longest round of the loop, processor time", median(one.round_seconds for one in callbacks), "s",
            at_most(0.005, "s"), note="median over rounds",
        )  # fmt: skip
