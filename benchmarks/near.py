"""Lookups by meaning, the embedding apart: against a numpy scan of the same vectors, and the PyPI package.

The scan is `(matrix @ query).argmax()` on one float32 array. Ours is measured twice: `find_candidates`
of the backend, which is the search and reading the entry; and the whole way of a near hit through
the engine (exact lookup that misses, search, guards, counters) with an embedder that looks vectors
up in a dict. The PyPI package's side is its backends' `find_similar`, as its decorator
cannot be given an embedder.

There are 64 questions, asked again and again, so all but the first hits on each are of a text whose vector the process
knows and that was answered by meaning before. Before the measurement, the index is given time to become complete.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.data import ANSWER, EMBEDDER, SIMILARITY, Filling
from benchmarks.harness import Bench, Contender, Target, at_most
from benchmarks.peers import PYPI, PeerUnavailable, Worker, peer
from semantic_llm_cache import SemanticCache
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend

SCAN = "numpy scan"


def run(bench: Bench) -> None:
    """Measure at 1,000, 10,000 and 100,000 entries."""
    with peer(bench, "pypi", PYPI, "run_pypi") as worker, bench.temporary() as folder:
        for size in (1000, 10_000, 100_000) if not bench.quick else (200,):
            _at(bench, size, folder, worker if size <= 10_000 else None)


def _at(bench: Bench, size: int, folder: Path, worker: Worker | None) -> None:
    bench.say(f"{size} entries: filling")
    filling = Filling(size)
    memory, sqlite = MemoryBackend(), SQLiteBackend(folder / f"near-{size}.db")
    items = filling.items()
    bench.run(memory.set_many(items))
    bench.run(sqlite.set_many(items))
    del items
    rows, queries = filling.rows, list(filling.queries)
    calls = max(10, min(200, 1_000_000 // size))

    def scan(query: Any) -> float:
        scores = rows @ query
        return float(scores[scores.argmax()])

    def find(backend: Any) -> Any:
        return lambda query: backend.find_candidates(
            query, SIMILARITY, k=1, scope=filling.scope_hash, embedder=EMBEDDER
        )

    def never() -> str:
        raise AssertionError("must be a hit")

    def hit(engine: SemanticCache) -> Any:
        return lambda request: engine.get_or_call(request, never)

    def engine(backend: Any, **options: Any) -> SemanticCache:
        return SemanticCache(backend, embedder=filling.embedder, similarity=SIMILARITY, timeout=30, **options)

    _first(bench, size, sqlite.db_path, queries[0], filling)
    engines = {"memory": engine(memory), "SQLite": engine(sqlite)}
    unguarded = {"memory": engine(memory, guards=None), "SQLite": engine(sqlite, guards=None)}
    _check(bench, engines, filling)
    _settled(sqlite)
    contenders: list[Contender] = [bench.calls(SCAN, scan, queries, calls)]
    for name, backend in (("memory", memory), ("SQLite", sqlite)):
        contenders += [
            bench.awaits(f"{name}, find_candidates", find(backend), queries, calls),
            bench.awaits(f"{name}, whole near hit", hit(engines[name]), filling.requests, calls),
            bench.awaits(f"{name}, whole near hit, no guards", hit(unguarded[name]), filling.requests, calls),
        ]
    bench.say(f"{size} entries: against the scan")
    times = bench.interleave(contenders, 15)
    targets: dict[int, Target] = {10_000: at_most(1.5), 100_000: at_most(0.2)}
    for name in list(times)[1:]:
        target = None if name.endswith("no guards") else targets.get(size)
        bench.ratio(f"{size:,}: {name}", times, name, SCAN, target)
    _check(bench, engines, filling)
    if worker is not None:
        with contextlib.suppress(_Gone):
            for name, backend in (("memory", memory), ("SQLite", sqlite)):
                _against_pypi(bench, name, size, folder, filling, worker, find(backend), calls)
    bench.run(sqlite.close())
    bench.run(memory.close())


def _first(bench: Bench, size: int, path: str, query: Any, filling: Filling) -> None:
    """Measure the first search of a backend just made, as after a restart: it reads the vectors in."""

    async def first() -> float:
        began = perf_counter()
        async with SQLiteBackend(path) as backend:
            found = await backend.find_candidates(query, SIMILARITY, k=1, scope=filling.scope_hash)
            took = perf_counter() - began
            assert found
        return took

    took = sorted(bench.run(first()) for _ in range(bench.size(5, 2)))
    target = at_most(1, "s") if size == 100_000 else None
    bench.value(f"{size:,}: SQLite, open and first search", took[len(took) // 2], "s", target)


def _settled(sqlite: SQLiteBackend) -> None:
    """Wait until the index of a large cache is ready.

    It was searched for the first time just now, and is divided into lists and written to its file in the background.
    That in memory is ready, as it was filled first.
    """
    sqlite._searcher.index.indexer.wait(60)


class _Gone(Exception):
    """The worker cannot go on."""


def _check(bench: Bench, engines: dict[str, SemanticCache], filling: Filling) -> None:
    """Make sure that what is timed is near hits on the right entries."""
    for engine in engines.values():
        for request in filling.requests:
            found = bench.run(engine.lookup(request))
            if found.outcome != "near":
                raise AssertionError(f"{request.text!r} gave {found.outcome}: {found.reason}")


def _against_pypi(
    bench: Bench, name: str, size: int, folder: Path, filling: Filling, worker: Worker, find: Any, calls: int
) -> None:
    store = name.lower()
    entries, queries = folder / f"rows-{size}.npy", folder / f"queries-{size}.npy"
    np.save(entries, filling.rows)
    np.save(queries, filling.queries)
    theirs = f"PyPI 0.1.0, {name}"
    try:
        bench.say(f"{size} entries: filling the PyPI package's {name} store")
        worker.ask(
            "fill", store=store, folder=str(folder), vectors=str(entries), prompts=filling.prompts, response=ANSWER
        )
        slow = Contender(theirs, lambda n: worker.ask("near", store=store, vectors=str(queries), calls=n), 1)
        times = bench.interleave(
            [bench.awaits("ours", find, list(filling.queries), calls), slow],
            7 if size < 10_000 else 5,
        )
    except PeerUnavailable as error:
        bench.missing(theirs, str(error))
        raise _Gone from None
    # 100 times faster, that is.
    bench.ratio(f"{size:,}: {name}, search by vector", times, "ours", theirs, at_most(0.01) if size == 10_000 else None)
