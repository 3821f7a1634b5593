"""A client process of a server: makes many lookups at once for a while, and reports how many it got."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Awaitable, Callable
from time import perf_counter, process_time, sleep, time
from typing import Any

import numpy as np

from benchmarks.data import EMBEDDER, SIMILARITY
from benchmarks.workers.protocol import serve
from semantic_llm_cache.backends import PostgresBackend, RedisBackend

_loop = asyncio.new_event_loop()
_open: list[Any] = []


def connect(url: str, way: str, scope: str, keys: list[str], queries: str, rest: float) -> int:
    """Connect, look up by key and by meaning, and wait `rest` seconds; return this process's id."""
    backend: Any = RedisBackend(url, search=way, front_size=0) if way else PostgresBackend(url, front_size=0)
    _open[:] = [backend, scope, keys, list(np.load(queries))]

    async def first() -> None:
        await backend.get(keys[0])
        end = perf_counter() + 120
        # A process's own copy of the vectors, or its knowledge of the server's index, comes with the first lookups.
        while True:
            found = await backend.find_candidates(_open[3][0], SIMILARITY, k=1, scope=scope, embedder=EMBEDDER)
            mirror = getattr(getattr(backend, "_way", None), "_mirror", False)
            if found and mirror is not None:
                break
            if perf_counter() > end:
                raise TimeoutError("the first lookups found nothing")
            await asyncio.sleep(0.05)
        if mirror:
            await asyncio.to_thread(mirror.index.indexer.wait, 120)
        await asyncio.sleep(rest)

    _loop.run_until_complete(first())
    return os.getpid()


def ask(kind: str, begin: float, seconds: float, at_once: int) -> dict[str, float]:
    """Look up by ``exact`` key or by ``near`` vector from the wall time `begin` on.

    Returns lookups, seconds, this process's processor time, and the median latency in seconds.
    """
    backend, scope, keys, queries = _open
    start = os.getpid() * 7919
    supply = itertools.islice(itertools.cycle(keys if kind == "exact" else queries), start % len(keys), None)

    async def near(query: Any) -> object:
        found: object = await backend.find_candidates(query, SIMILARITY, k=1, scope=scope, embedder=EMBEDDER)
        return found

    one: Callable[[Any], Awaitable[object]] = backend.get if kind == "exact" else near
    took: list[float] = []

    async def task(end: float) -> None:
        while (before := perf_counter()) < end:
            assert await one(next(supply)), "every lookup must hit"
            took.append(perf_counter() - before)

    async def all_of_them() -> float:
        began = perf_counter()
        await asyncio.gather(*[task(began + seconds) for _ in range(at_once)])
        return perf_counter() - began

    sleep(max(0.0, begin - time()))
    used = process_time()
    lasted = _loop.run_until_complete(all_of_them())
    return {
        "lookups": len(took), "seconds": lasted, "processor": process_time() - used,
        "median": sorted(took)[len(took) // 2],
    }  # fmt: skip


def close() -> None:
    """Close the connections."""
    _loop.run_until_complete(_open[0].close())


serve({"connect": connect, "ask": ask, "close": close})
