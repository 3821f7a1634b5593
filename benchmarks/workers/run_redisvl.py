"""redisvl's SemanticCache on a server that it is given; its embedding is replaced by ready vectors."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

import numpy as np
import redis
from redisvl.extensions.cache.llm import SemanticCache  # type: ignore[import-not-found]
from redisvl.utils.vectorize import CustomVectorizer  # type: ignore[import-not-found]

from benchmarks.workers.protocol import serve, time_awaits, versions

_loop = asyncio.new_event_loop()
_caches: dict[int, Any] = {}
_fresh = itertools.count()


def fill(url: str, vectors: str, prompts: list[str], response: str) -> float:
    """Make a cache with one entry for each row of the array file `vectors`; return the server's bytes for each."""
    rows = np.load(vectors)
    zero = [0.0] * rows.shape[1]
    vectorizer = CustomVectorizer(embed=lambda text: zero, aembed=None)
    cache = SemanticCache(f"bench{len(rows)}", 0.05, redis_url=url, vectorizer=vectorizer, overwrite=True)

    server = redis.Redis.from_url(url)
    before = server.info("memory")["used_memory"]

    async def store() -> None:
        for start in range(0, len(rows), 50):
            some = range(start, min(start + 50, len(rows)))
            await asyncio.gather(*[cache.astore(prompts[i], response, vector=rows[i].tolist()) for i in some])

    _loop.run_until_complete(store())
    time.sleep(0.5)
    _caches[len(rows)] = cache
    return float((server.info("memory")["used_memory"] - before) / len(rows))


def near(size: int, vectors: str, calls: int) -> Any:
    """Time hits by meaning; the vectors are given."""
    cache = _caches[size]
    queries = [row.tolist() for row in np.load(vectors)]
    if not _loop.run_until_complete(cache.acheck(vector=queries[0])):
        raise AssertionError("the first query must be a hit")
    items = list(itertools.islice(itertools.cycle(queries), calls))
    return _loop.run_until_complete(time_awaits(lambda vector: cache.acheck(vector=vector), items))


def recall(size: int, vectors: str, expected: list[str]) -> Any:
    """Return how many queries get the prompt expected."""
    cache = _caches[size]

    async def ask(vector: Any) -> str:
        found = await cache.acheck(vector=vector.tolist())
        return str(found[0]["prompt"]) if found else ""

    got = [_loop.run_until_complete(ask(row)) for row in np.load(vectors)]
    return sum(a == b for a, b in zip(got, expected, strict=True)) / len(expected)


def put(size: int, vectors: str, calls: int, response: str) -> Any:
    """Time writes of new entries."""
    cache = _caches[size]
    items = [
        (f"What is new in version {next(_fresh)}?", row.tolist())
        for row in itertools.islice(itertools.cycle(np.load(vectors)), calls)
    ]
    return _loop.run_until_complete(time_awaits(lambda item: cache.astore(item[0], response, vector=item[1]), items))


def miss(size: int, vectors: str, calls: int, response: str) -> Any:
    """Time what a miss takes: a check of a vector, then a write of it."""
    cache = _caches[size]

    async def one(item: tuple[str, list[float]]) -> None:
        await cache.acheck(vector=item[1])
        await cache.astore(item[0], response, vector=item[1])

    items = [
        (f"What is new in version {next(_fresh)}?", row.tolist())
        for row in itertools.islice(itertools.cycle(np.load(vectors)), calls)
    ]
    return _loop.run_until_complete(time_awaits(one, items))


serve(
    {
        "fill": fill, "near": near, "put": put, "recall": recall, "miss": miss,
        "versions": lambda: versions("redisvl", "redis", "hiredis", "numpy"),
    }
)  # fmt: skip
