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
from typing import Any

import numpy as np

from benchmarks.data import Matrix, read_vectors, reworded, spread, write_clustered
from benchmarks.harness import Bench, at_least, at_most
from benchmarks.peers import PeerUnavailable, Worker, environment

_SIMILARITY = 0.7
_BLOCK = 100_000
_LIBRARIES = {"ours": [], "usearch": ["usearch", "numpy"], "faiss": ["faiss-cpu", "numpy"]}
_CPU = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def run(bench: Bench) -> None:
    """Measure at each size of INDEX_SIZES."""
    sizes = [int(size) for size in os.environ.get("INDEX_SIZES", "1000000").split(",")]
    names = os.environ.get("INDEX_LIBRARIES", ",".join(_LIBRARIES)).split(",")
    for size in sizes if not bench.quick else [20_000]:
        with bench.temporary() as folder:
            _at(bench, size, folder, [name for name in names if name == "ours" or bench.peers])


def _at(bench: Bench, size: int, folder: Path, names: list[str]) -> None:
    path = Path(os.environ.get("INDEX_FILE") or folder / "vectors")
    if not path.exists() or path.stat().st_size < 1536 * size:
        bench.say(f"{size:,} vectors: writing them")
        write_clustered(path, size)
    rows = read_vectors(path)[:size]
    asked = np.sort(np.random.default_rng(3).permutation(size)[: bench.size(300, 20)])
    kinds = {
        "even": reworded(rows[asked], low=0.7, high=0.9),
        "as entries differ": spread(rows[asked], low=0.7, high=0.9),
    }
    queries = np.concatenate(list(kinds.values()))
    np.save(folder / "queries.npy", queries)
    bench.say(f"{size:,} vectors: comparing all with {len(queries)} queries")
    best = nearest(rows, queries)
    for name in names:
        try:
            _library(
                bench,
                size,
                name,
                path,
                folder,
                {kind: best[n * len(asked) :][: len(asked)] for n, kind in enumerate(kinds)},
            )
        except PeerUnavailable as error:
            bench.missing(f"{size:,}: {name}", str(error))


def nearest(rows: Matrix, queries: Matrix) -> Any:
    """Return the highest cosine of each query with any row, in blocks."""
    best = np.full(len(queries), -2.0, dtype=np.float32)
    columns = np.ascontiguousarray(queries.T)
    for first in range(0, len(rows), _BLOCK):
        np.maximum(best, (rows[first : first + _BLOCK] @ columns).max(axis=0), out=best)
    return best


def _library(bench: Bench, size: int, name: str, path: Path, folder: Path, best: dict[str, Any]) -> None:
    bench.say(f"{size:,} vectors: {name}")
    requirements = _LIBRARIES[name]
    python = environment(f"large-{name}", requirements) if requirements else sys.executable
    with Worker(python, "run_large", bench.folder / f"large-{name}.log") as worker:
        built = worker.ask(
            "build", library=name, path=str(path), count=size, similarity=_SIMILARITY, folder=str(folder)
        )
        worker.ask("search", queries=str(folder / "queries.npy"))  # reads the pages of the file that are needed
        found = worker.ask("search", queries=str(folder / "queries.npy"))
        bench.versions[f"large-{name}"] = worker.ask("versions")
    what = f"{size:,}: {name}"
    bench.value(f"{what}, build", built["seconds"], "s", note=f"{built['cpu']:.0f} s of processor time")
    bench.value(
        f"{what}, memory at most", built["peak"], "B", note=f"{built['kept']:,.0f} kept; pages of the file apart"
    )
    bench.value(f"{what}, index", built["size"] / size, "B", note="per vector, the vectors in the file apart")
    place = 0
    for kind, values in best.items():
        cosines = np.array([cosine for _, cosine in found["best"][place : place + len(values)]])
        hits = values >= _SIMILARITY
        place += len(values)
        right = (cosines >= values - 2e-6)[hits].mean()
        bench.value(f"{what}, recall@1, {kind}", float(right), "", at_least(0.99, ""), note=f"{hits.sum()} queries")
    times = sorted(found["seconds"])
    bench.value(
        f"{what}, a search",
        median(times),
        "s",
        at_most(0.005, "s"),
        note=f"p95 {1000 * times[int(0.95 * len(times))]:.2f} ms",
    )
