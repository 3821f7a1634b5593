"""The index and SQLite by size: lookups through inverted lists against a numpy scan, recall, opening, filling.

Its own subset, as it takes minutes: a million only with INDEX_MILLION=1 in the environment, and 9 GB of disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.data import ANSWER, EMBEDDER, Matrix, clustered, question, reworded
from benchmarks.harness import Bench, Target, at_least, at_most
from semantic_llm_cache.backends import SQLiteBackend
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.index import VectorIndex

_TARGETS = {10_000: at_most(1.5), 100_000: at_most(0.2), 1_000_000: at_most(0.02)}
_OPEN: dict[int, Target] = {100_000: at_most(1, "s"), 1_000_000: at_most(5, "s")}
_LIMITS = {"namespace": "bench", "scope": "s", "embedder": EMBEDDER}
_SIMILARITY = 0.9


def run(bench: Bench) -> None:
    """Measure at 10,000 and 100,000 vectors, and at a million if INDEX_MILLION is set."""
    sizes = [10_000, 100_000, *([1_000_000] if os.environ.get("INDEX_MILLION") else [])]
    for size in sizes if not bench.quick else [400]:
        with bench.temporary() as folder:
            _at(bench, size, folder)


def _at(bench: Bench, size: int, folder: Path) -> None:
    bench.say(f"{size:,} vectors: making them")
    rows = clustered(size)
    asked = np.sort(np.random.default_rng(3).permutation(size)[: bench.size(300, 20)])
    queries = list(reworded(rows[asked]))
    path = str(folder / "index.db")
    _fill(bench, size, path, rows)
    _build(bench, size, path, queries[0])
    took, index = [], VectorIndex()
    for _ in range(bench.size(5, 2)):
        seconds, index = bench.run(_first(path, queries[0]))
        took.append(seconds)
    sizes = {name: os.path.getsize(path + name) / size for name in ("", "-index") if os.path.exists(path + name)}
    bench.value(
        f"{size:,}: SQLite, open and first search", sorted(took)[len(took) // 2], "s", _OPEN.get(size),
        note="bytes per entry on the disk: " + ", ".join(f"index.db{name} {each:,.0f}" for name, each in sizes.items()),
    )  # fmt: skip
    index.search(queries[0], 1, _SIMILARITY, **_LIMITS)  # goes on with verifying the file
    index.indexer.wait(600)
    _search(bench, size, rows, queries, index)


def _fill(bench: Bench, size: int, path: str, rows: Matrix) -> None:
    def items(first: int, last: int) -> Iterator[tuple[str, CacheEntry]]:
        for number in range(first, last):
            yield f"{number:064x}", CacheEntry(
                question(number), ANSWER, rows[number], namespace="bench", scope="s", embedder=EMBEDDER
            )  # fmt: skip

    async def fill() -> list[float]:
        rates = []
        async with SQLiteBackend(path) as backend:
            for first in range(0, size, size // 4):
                began = perf_counter()
                await backend.set_many(items(first, first + size // 4))
                rates.append(size // 4 / (perf_counter() - began))
        return rates

    rates = bench.run(fill())
    bench.value(
        f"{size:,}: SQLite, set_many", size / sum(size / 4 / rate for rate in rates), "/s",
        note=f"first quarter {rates[0]:,.0f}, last {rates[-1]:,.0f}",
    )  # fmt: skip


async def _first(path: str, query: Any) -> tuple[float, VectorIndex]:
    backend = SQLiteBackend(path)
    began = perf_counter()
    assert await backend.find_candidates(query, _SIMILARITY, k=1, **_LIMITS)
    took = perf_counter() - began
    index = backend._searcher.index
    await backend.close()
    return took, index


def _build(bench: Bench, size: int, path: str, query: Any) -> None:
    """Open the file for the first time, and wait for its lists to be built and written."""

    async def build() -> tuple[float, float, int, list[float]]:
        async with SQLiteBackend(path) as backend:
            began = perf_counter()
            assert await backend.find_candidates(query, _SIMILARITY, k=1, **_LIMITS)
            opened = perf_counter()
            meanwhile = []
            indexer = backend._searcher.index.indexer
            while not indexer.wait(0.05):
                start = perf_counter()
                await backend.find_candidates(query, _SIMILARITY, k=1, **_LIMITS)
                meanwhile.append(perf_counter() - start)
            return opened - began, perf_counter() - opened, backend._searcher.index.indexed, sorted(meanwhile)

    first, built, indexed, meanwhile = bench.run(build())
    bench.value(f"{size:,}: SQLite, open and first search, no index file yet", first, "s")
    if indexed:
        bench.value(
            f"{size:,}: into lists, in the background", indexed / built, "/s",
            note=f"a search meanwhile: median {1000 * meanwhile[len(meanwhile) // 2]:.2f} ms, "
            f"longest {1000 * meanwhile[-1]:.1f} ms",
        )  # fmt: skip


def _search(bench: Bench, size: int, rows: Matrix, queries: list[Any], index: VectorIndex) -> None:
    bench.value(f"{size:,}: vectors, ids and lists", index.nbytes / size, "B", note="per vector, allocated")

    def scan(query: Any) -> float:
        scores = rows @ query
        return float(scores[scores.argmax()])

    best = [scan(query) for query in queries]
    found = [index.search(query, 1, _SIMILARITY, **_LIMITS) for query in queries]
    right = sum(bool(hits) and hits[0][1] >= cosine - 2e-6 for hits, cosine in zip(found, best, strict=True))
    bench.value(f"{size:,}: recall@1 of true hits", right / len(queries), "", at_least(0.99, ""))
    times = bench.interleave(
        [
            bench.calls("numpy scan", scan, queries, max(10, 1_000_000 // size)),
            bench.calls("index", lambda query: index.search(query, 8, _SIMILARITY, **_LIMITS), queries, 200),
        ],
        15,
    )
    bench.ratio(f"{size:,}: index, 8 candidates", times, "index", "numpy scan", _TARGETS.get(size))
