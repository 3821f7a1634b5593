"""One index over a mapped file of vectors: ours, usearch or faiss. Reports time and memory.

Each library gives candidates, which are compared by exact cosine with the vectors in the file, as ours does itself.
"""

from __future__ import annotations

import mmap
import threading
from array import array
from collections.abc import Callable
from time import perf_counter, process_time, thread_time
from typing import Any

import numpy as np

from benchmarks.workers.protocol import serve, versions

_DIMENSION = 384
_PIECE = 100_000
_MANY = 200  # candidates of a library
_K = 8

Search = Callable[[Any], list[tuple[int, float]]]

_searches: list[Search] = []


def anonymous_bytes() -> int:
    """Return the resident memory of this process that is not pages of a file (Linux)."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("RssAnon"))


class _Peak:
    """The most of `anonymous_bytes` while a block runs."""

    def __enter__(self) -> _Peak:
        self.bytes = anonymous_bytes()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            self.bytes = max(self.bytes, anonymous_bytes())

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._thread.join()


def build(library: str, path: str, count: int, similarity: float) -> dict[str, float]:
    """Build an index over the first `count` vectors of a file."""
    rows = np.memmap(path, np.float32, "r", shape=(count, _DIMENSION))
    before = anonymous_bytes()
    began, spent = perf_counter(), process_time()
    with _Peak() as peak:
        search, size = _LIBRARIES[library](path, rows, similarity)
    _searches[:] = [search]
    return {
        "seconds": perf_counter() - began,
        "cpu": process_time() - spent,
        "peak": peak.bytes - before,
        "kept": anonymous_bytes() - before,
        "size": size,
    }


def _ours(path: str, rows: Any, similarity: float) -> tuple[Search, int]:
    from semantic_llm_cache.index import VectorIndex

    count = len(rows)
    with open(path, "rb") as file:
        own = mmap.mmap(file.fileno(), 4 * _DIMENSION * count, access=mmap.ACCESS_COPY)
    vectors = np.frombuffer(own, np.float32).reshape(count, _DIMENSION)
    index = VectorIndex()
    index.adopt(("s", "e", "bench", _DIMENSION), array("q", range(count)), vectors)
    index.indexer.wait(36_000)
    if index.indexed < count - 512:
        raise AssertionError("the lists were not built")
    limits = {"namespace": "bench", "scope": "s", "embedder": "e"}
    return lambda query: index.search(query, _K, similarity, **limits), index.nbytes - vectors.nbytes


def _weighed(rows: Any, found: Any, query: Any) -> list[tuple[int, float]]:
    numbers = np.asarray([number for number in found.tolist() if number >= 0])
    scores = rows[numbers] @ query
    order = scores.argsort()[::-1][:_K]
    return list(zip(numbers[order].tolist(), scores[order].tolist(), strict=True))


def _usearch(path: str, rows: Any, similarity: float) -> tuple[Search, int]:
    from usearch.index import Index  # type: ignore[import-not-found]

    index = Index(ndim=_DIMENSION, metric="ip", dtype="i8", connectivity=16, expansion_add=64, expansion_search=128)
    scale = np.float32(1.0 / np.abs(rows[:: max(1, len(rows) // 4096)]).max())  # its own scaling loses recall
    for first in range(0, len(rows), _PIECE):
        some = np.clip(rows[first : first + _PIECE] * scale, -1.0, 1.0)
        index.add(np.arange(first, first + len(some)), some, threads=1)
    return lambda query: _weighed(rows, index.search(query * scale, 64).keys, query), int(index.memory_usage)


def _faiss(path: str, rows: Any, similarity: float) -> tuple[Search, int]:
    import faiss  # type: ignore[import-not-found]

    faiss.omp_set_num_threads(1)
    lists = int(2 * len(rows) ** 0.5)
    index = faiss.index_factory(_DIMENSION, f"IVF{lists},PQ48", faiss.METRIC_INNER_PRODUCT)
    index.train(np.ascontiguousarray(rows[:: max(1, len(rows) // (40 * lists))]))
    for first in range(0, len(rows), _PIECE):
        index.add(np.ascontiguousarray(rows[first : first + _PIECE]))
    index.nprobe = 48
    size = len(rows) * (index.pq.code_size + 8) + 4 * lists * _DIMENSION
    return lambda query: _weighed(rows, index.search(query[None], _MANY)[1][0], query), size


_LIBRARIES = {"ours": _ours, "usearch": _usearch, "faiss": _faiss}


def search(queries: str) -> dict[str, Any]:
    """Return the nearest of each query with its cosine, the seconds of each search, and those of the processor."""
    best, times, spent = [], [], []
    for query in np.load(queries):
        began, began_cpu = perf_counter(), thread_time()
        found = _searches[0](query)
        times.append(perf_counter() - began)
        spent.append(thread_time() - began_cpu)
        best.append(found[0] if found else (-1, -2.0))
    return {"best": best, "seconds": times, "cpu": spent}


serve({
    "build": build, "search": search, "versions": lambda: versions("numpy", "usearch", "faiss-cpu"),
})  # fmt: skip
