"""GPTCache 0.1.44 on SQLite and faiss: near hits and puts, the embedding a dict lookup on both sides.

It is filled in bulk (`import_data`), and keeps 1,000 entries unless told otherwise: it is told. Its
puts are timed 40 at a time, which holds the saving of its index every 20 puts; ours are awaited one by
one, each committed when it returns.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import ANSWER, SIMILARITY, Filling, ReadyVectors
from benchmarks.harness import Bench, Contender, Times, at_most
from benchmarks.peers import GPTCACHE, PeerUnavailable, Worker, peer
from semantic_llm_cache import SemanticCache
from semantic_llm_cache.backends import SQLiteBackend


def run(bench: Bench) -> None:
    """Measure at 1,000, 10,000 and 100,000 entries."""
    with peer(bench, "gptcache", GPTCACHE, "run_gptcache") as worker, bench.temporary() as folder:
        puts: Times = {}
        sizes = (1000, 10_000, 100_000) if not bench.quick else (200,)
        for size in sizes:
            try:
                puts[f"{size:,}"] = _at(bench, size, folder, worker)
            except PeerUnavailable as error:
                bench.missing(f"GPTCache, {size:,} entries", str(error))
        if len(puts) == len(sizes) > 1:
            first, last = f"{sizes[0]:,}", f"{sizes[-1]:,}"
            bench.ratio(f"SQLite, a put at {last}", puts, last, first, note="flat: 1x")


def _at(bench: Bench, size: int, folder: Path, worker: Worker | None) -> list[float]:
    bench.say(f"{size} entries: filling")
    filling = Filling(size)
    backend = SQLiteBackend(folder / f"ours-{size}.db")
    bench.run(backend.set_many(filling.items()))
    table = dict(zip(filling.wordings, filling.queries, strict=True))
    fresh = [f"What is new in version {i} of the manual?" for i in range(bench.size(4000, 200))]
    table.update(zip(fresh, itertools.cycle(filling.rows), strict=False))
    engine = SemanticCache(backend, embedder=ReadyVectors(table), similarity=SIMILARITY, timeout=30)

    def never() -> str:
        raise AssertionError("must be a hit")

    def hit(request: Any) -> Any:
        return engine.get_or_call(request, never)

    def put(text: str) -> Any:
        return engine.store(filling.request(text), ANSWER)

    mine = {
        "near hit": bench.awaits("ours", hit, filling.requests, 100),
        "put": bench.awaits("ours", put, fresh, 200),
    }
    theirs: dict[str, Contender] = {}
    if worker is not None:
        entries, queries = folder / f"rows-{size}.npy", folder / f"queries-{size}.npy"
        np.save(entries, filling.rows)
        np.save(queries, filling.queries)
        bench.say(f"{size} entries: filling GPTCache")
        worker.ask("fill", folder=str(folder), vectors=str(entries), prompts=filling.prompts, response=ANSWER)
        theirs = {
            "near hit": Contender(
                "GPTCache",
                lambda n: worker.ask("near", size=size, vectors=str(queries), prompts=filling.wordings, calls=n),
                bench.size(20, 3),
            ),
            "put": Contender(
                "GPTCache",
                lambda n: worker.ask("put", size=size, vectors=str(entries), calls=n, response=ANSWER),
                bench.size(40, 4),
            ),
        }
    targets = {"near hit": at_most(0.05) if size >= 10_000 else None, "put": at_most(0.2)}
    took: Times = {}
    for what, contender in mine.items():
        bench.say(f"{size} entries: {what}")
        times = bench.interleave([contender, *([theirs[what]] if what in theirs else [])], 7)
        took[what] = times["ours"]
        if what in theirs:
            bench.ratio(f"{size:,}: {what}, SQLite", times, "ours", "GPTCache", targets[what])
        else:
            bench.value(f"{size:,}: {what}, SQLite", sorted(times["ours"])[len(times["ours"]) // 2], "s")
    bench.run(backend.close())
    return took["put"]
