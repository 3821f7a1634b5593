"""The index at millions of vectors, on a file of them: build time, memory, recall and latency, beside two libraries.

By name only: it takes from minutes to hours. INDEX_SIZES=1000000,10000000 in the environment says how many vectors
(default: a million); INDEX_FILE=PATH keeps the file of vectors, 1,536 bytes each, or takes one that is there;
INDEX_LIBRARIES=ours,faiss limits what is measured.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from benchmarks.data import DIMENSION, Matrix, read_vectors, reworded, spread, write_clustered
from benchmarks.harness import Bench, at_least, at_most
from benchmarks.peers import PeerUnavailable, Worker, environment

_SIMILARITY = 0.7
_BLOCK = 100_000
_LIBRARIES = {"ours": [], "usearch": ["usearch", "numpy"], "faiss": ["faiss-cpu", "numpy"]}


class _Questions(NamedTuple):
    """Queries of one kind, the highest cosine of each with any vector, and where they begin in which file."""

    kind: str
    best: Any
    first: int
    file: Path


def run(bench: Bench) -> None:
    """Measure at each size of INDEX_SIZES."""
    sizes = [int(size) for size in os.environ.get("INDEX_SIZES", "1000000").split(",")]
    names = os.environ.get("INDEX_LIBRARIES", ",".join(_LIBRARIES)).split(",")
    for size in sizes if not bench.quick else [20_000]:
        with bench.temporary() as folder:
            path = Path(os.environ.get("INDEX_FILE") or folder / "vectors")
            if not path.exists() or path.stat().st_size < 4 * DIMENSION * size:
                bench.say(f"{size:,} vectors: writing them")
                write_clustered(path, size)
            questions = _ask(bench, read_vectors(path)[:size], folder)
            for name in names:
                if name == "ours" or bench.peers:
                    _library(bench, name, path, size, questions)
                else:
                    bench.missing(f"{size:,}: {name}", "peers were left out (--no-peers)")


def _ask(bench: Bench, rows: Matrix, folder: Path) -> list[_Questions]:
    """Write two kinds of queries to a file beside the vectors, and find what is nearest to each."""
    some = rows[np.sort(np.random.default_rng(3).permutation(len(rows))[: bench.size(300, 20)])]
    kinds = {"by as much in all directions": reworded, "as entries differ": spread}
    queries = np.concatenate([make(some, low=_SIMILARITY, high=0.9) for make in kinds.values()])
    file = folder / "queries.npy"
    np.save(file, queries)
    bench.say(f"{len(rows):,} vectors: comparing all with {len(queries)} queries")
    best = nearest(rows, queries)
    return [
        _Questions(kind, best[first : first + len(some)], first, file)
        for kind, first in zip(kinds, range(0, len(queries), len(some)), strict=True)
    ]


def nearest(rows: Matrix, queries: Matrix) -> Any:
    """Return the highest cosine of each query with any row, in blocks."""
    best = np.full(len(queries), -2.0, dtype=np.float32)
    columns = np.ascontiguousarray(queries.T)
    for first in range(0, len(rows), _BLOCK):
        np.maximum(best, (rows[first : first + _BLOCK] @ columns).max(axis=0), out=best)
    return best


def _library(bench: Bench, name: str, path: Path, size: int, questions: list[_Questions]) -> None:
    queries = str(questions[0].file)
    bench.say(f"{size:,} vectors: {name}")
    what = f"{size:,}: {name}"
    try:
        python = environment(f"large-{name}", _LIBRARIES[name]) if _LIBRARIES[name] else sys.executable
        with Worker(python, "run_large", bench.folder / f"large-{name}.log") as worker:
            bench.versions[f"large-{name}"] = worker.ask("versions")
            built = worker.ask("build", library=name, path=str(path), count=size, similarity=_SIMILARITY)
            worker.ask("search", queries=queries)  # reads the pages of the file that are needed
            found = worker.ask("search", queries=queries)
    except PeerUnavailable as error:
        bench.missing(what, str(error))
        return
    processor = f"{built['cpu']:.0f} s of processor time"
    bench.value(f"{what}, build", built["seconds"], "s", note=processor)
    bench.value(f"{what}, memory during the build", built["peak"], "B", note="without pages of the file")
    bench.value(f"{what}, index", built["size"] / size, "B", note="per vector, without the vector in the file")
    cosines = np.array([cosine for _, cosine in found["best"]])
    for kind, best, first, _ in questions:
        hits = best >= _SIMILARITY
        right = cosines[first : first + len(best)] >= best - 2e-6
        bench.value(f"{what}, recall@1, {kind}", float(right[hits].mean()), "", at_least(0.99, ""))
    times, spent = ([1000 * seconds for seconds in sorted(found[name])] for name in ("seconds", "cpu"))
    late = int(0.95 * len(times))
    bench.value(
        f"{what}, a search", median(times) / 1000, "s", at_most(0.005, "s"),
        note=f"p95 {times[late]:.2f} ms; processor time {median(spent):.2f} ms, p95 {spent[late]:.2f} ms",
    )  # fmt: skip
