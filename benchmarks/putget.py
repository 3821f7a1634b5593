"""Exact hit, near hit, put and get, memory and SQLite: against the PyPI package and cashews.

Each side as it comes: the PyPI package is synchronous, so its decorated functions stand beside plain
functions of ours; what our backends do is awaited. A put stores the vector as well. On SQLite the PyPI
package commits with the library's defaults (a rollback journal, synchronous=FULL), ours as documented
(WAL, synchronous=NORMAL): both keep what is acknowledged when the process is killed.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.data import ANSWER, EMBEDDER, SIMILARITY, Filling
from benchmarks.harness import Bench, Contender
from benchmarks.peers import CASHEWS, PYPI, PeerUnavailable, Worker, importable, peer
from semantic_llm_cache import cache
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.config import CacheEntry

AGAIN = "What is asked again and again?"
ROUNDS = 9


def run(bench: Bench) -> None:
    """Measure with 1,000 entries in each store."""
    size = bench.size(1000, 100)
    filling = Filling(size)
    with bench.temporary() as folder:
        np.save(folder / "rows.npy", filling.rows)
        np.save(folder / "queries.npy", filling.queries)
        with peer(bench, "pypi", PYPI, "run_pypi") as worker:
            for name in ("memory", "SQLite"):
                backend: Any = MemoryBackend() if name == "memory" else SQLiteBackend(folder / "putget.db")
                bench.run(backend.set_many(filling.items()))
                try:
                    _against_pypi(bench, name, folder, filling, backend, worker)
                except PeerUnavailable as error:
                    bench.missing(f"PyPI 0.1.0, {name}", str(error))
                if name == "memory":
                    _against_cashews(bench, filling, backend)
                bench.run(backend.close())


def _against_pypi(bench: Bench, name: str, folder: Path, filling: Filling, backend: Any, worker: Worker | None) -> None:
    store, theirs, ours = name.lower(), "PyPI 0.1.0", f"{name}, ours"

    @cache(backend=backend, ttl="1h")
    def ask(prompt: str) -> str:
        return ANSWER

    ask(AGAIN)
    keys = [filling.request(prompt).key for prompt in filling.prompts]
    new = _new_entries(filling)

    async def put(_: object) -> None:
        await backend.set(*next(new))

    quick_calls, slow_calls = (2000, 500) if name == "memory" else (300, 50)
    mine = {
        "exact hit, plain function": bench.calls(ours, ask, [AGAIN], quick_calls),
        "near hit, by vector": bench.awaits(
            ours,
            lambda query: backend.find_candidates(query, SIMILARITY, k=1, scope=filling.scope_hash),
            list(filling.queries),
            100,
        ),
        "put": bench.awaits(ours, put, [None], slow_calls),
        "get": bench.awaits(ours, backend.get, keys, quick_calls),
    }
    if worker is None:
        for what, contender in mine.items():
            bench.value(f"{name}, {what}", median(bench.interleave([contender], ROUNDS)[ours]), "s")
        return
    size, rows, queries = len(filling.prompts), str(folder / "rows.npy"), str(folder / "queries.npy")
    worker.ask("fill", store=store, folder=str(folder), vectors=rows, prompts=filling.prompts, response=ANSWER)
    asked = {
        "exact hit, plain function": (lambda n: worker.ask("exact", store=store, calls=n), 200),
        "near hit, by vector": (lambda n: worker.ask("near", store=store, vectors=queries, calls=n), 3),
        "put": (lambda n: worker.ask("put", store=store, vectors=rows, calls=n, response=ANSWER), slow_calls),
        "get": (
            lambda n: worker.ask("get", store=store, keys=[f"key-{i % size}" for i in range(n)]),
            slow_calls,
        ),
    }
    for what, contender in mine.items():
        bench.say(f"{name}, {what}")
        batch, calls = asked[what]
        times = bench.interleave([contender, Contender(theirs, batch, bench.size(calls, min(calls, 10)))], ROUNDS)
        bench.ratio(f"{name}, {what}", times, ours, theirs)


def _new_entries(filling: Filling) -> Any:
    for number in itertools.count():
        row = filling.rows[number % len(filling.rows)]
        prompt = f"What is new in version {number}?"
        yield (
            f"new-{number}",
            CacheEntry(
                prompt, ANSWER, row, ttl=3600.0, namespace="bench", scope="new", embedder=EMBEDDER, input_tokens=8,
                output_tokens=250,
            ),
        )  # fmt: skip


def _against_cashews(bench: Bench, filling: Filling, backend: Any) -> None:
    """The exact hit is in the subset `exact`."""
    if not bench.peers:
        bench.missing("cashews", "peers were left out (--no-peers)")
        return
    try:
        with importable("cashews", CASHEWS):
            import cashews

            store = cashews.Cache()
            store.setup("mem://", size=1_000_000)
            keys = [filling.request(prompt).key for prompt in filling.prompts]
            new, other_new = _new_entries(filling), _new_entries(filling)

            async def put(_: object) -> None:
                await backend.set(*next(new))

            async def other_put(_: object) -> None:
                key, entry = next(other_new)
                await store.set(key, entry.response, expire=3600)

            async def fill() -> None:
                for key in keys:
                    await store.set(key, ANSWER, expire=3600)

            bench.run(fill())
            for what, mine, theirs in (
                ("get", backend.get, store.get),
                ("put", put, other_put),
            ):
                bench.say(f"memory, {what}, cashews")
                times = bench.interleave(
                    [bench.awaits("ours", mine, keys, 1000), bench.awaits("cashews", theirs, keys, 1000)], ROUNDS
                )
                note = "ours with vector, tokens, tags and cost; cashews' only the answer" if what == "put" else ""
                bench.ratio(f"memory, {what}", times, "ours", "cashews", note=note)
            bench.run(store.close())
    except (PeerUnavailable, ImportError) as error:
        bench.missing(" ".join(CASHEWS), str(error))
