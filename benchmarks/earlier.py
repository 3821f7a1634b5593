"""A whole near hit with the real model against that of an earlier commit, in the same run.

All sides are the same program (`workers/run_near_hit.py`), each in a process of its own, with 10,000 entries in
memory. Every text is new, so that nothing has its vector. The model runs in float32, as it did then, and in 8 bits.
"""

from __future__ import annotations

import itertools
import sys
from contextlib import ExitStack

import numpy as np

from benchmarks.data import ANSWER, clustered, question
from benchmarks.harness import Bench, Contender, at_most
from benchmarks.peers import ROOT, PeerUnavailable, Worker, earlier_source
from benchmarks.words import SIMILARITY, questions, wordings

COMMIT = "8f935fd"
"""Before the work on the path of a near hit began."""
ROUNDS, CALLS = 41, 16


def run(bench: Bench) -> None:
    """Measure in memory, at 10,000 entries."""
    try:
        source = earlier_source(COMMIT)
    except PeerUnavailable as error:
        bench.missing(f"commit {COMMIT}", str(error))
        return
    size, asked = bench.size(10_000, 400), bench.size(200, 24)
    vectors = bench.folder / "earlier.npy"
    np.save(vectors, clustered(size - asked))
    filling = {
        "questions": questions(asked), "vectors": str(vectors), "prompts": [question(i) for i in range(size - asked)],
        "answer": ANSWER, "similarity": SIMILARITY,
    }  # fmt: skip
    sides = {"now": (ROOT / "src", "fp32"), "now, int8": (ROOT / "src", "int8"), COMMIT: (source, None)}
    with ExitStack() as workers:
        contenders = []
        for name, (path, precision) in sides.items():
            bench.say(f"{name}: filling")
            log = bench.folder / f"near_hit{len(contenders)}.log"
            worker = workers.enter_context(Worker(sys.executable, "run_near_hit", log, path))
            worker.ask("fill", **filling, precision=precision)
            contenders.append(_contender(name, worker, asked, bench.size(CALLS, 2)))
        bench.say(f"against {COMMIT}")
        times = bench.interleave(contenders, ROUNDS)
    what = f"{size:,} entries in memory, whole near hit"
    bench.ratio(what, times, "now", COMMIT, at_most(0.6))
    bench.ratio(f"{what}, int8", times, "now, int8", COMMIT, at_most(0.6))


def _contender(name: str, worker: Worker, asked: int, calls: int) -> Contender:
    texts = wordings(asked)
    return Contender(name, lambda n: float(worker.ask("hit", texts=list(itertools.islice(texts, n)))), calls)
