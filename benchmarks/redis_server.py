"""Redis, in its three ways: hits and writes against the bare command of the same run, and redisvl.

The bare commands go through redis-py's own client on one connection, as ours do: `GET` of as many bytes;
`FT.SEARCH` and `VSIM` with the same vectors, the same candidates in view (EF) and the same filter, so with
the same recall, and returning the answer. The embedding is a lookup in a dict. The front in the process
is off: what is measured is the way to the server and back. redisvl's `acheck` and `astore` are given their
vectors; its index is the module's default, flat.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
from scripts.servers.common import ServersUnavailable
from scripts.servers.redis import KINDS, RedisServer

from benchmarks.data import ANSWER, EMBEDDER, SIMILARITY, Filling
from benchmarks.harness import Bench, Contender, Target, at_least, at_most
from benchmarks.peers import Worker, peer
from semantic_llm_cache.backends import RedisBackend
from semantic_llm_cache.backends._redis_entries import place_of

SIZES = (10_000, 100_000)
REDISVL = ["redisvl==0.28.0", "hiredis>=3"]
BARE = "bare command"


def run(bench: Bench) -> None:
    """Measure at 10,000 and 100,000 entries."""
    with peer(bench, "redisvl", REDISVL, "run_redisvl.py") as worker, bench.temporary() as folder:
        for size in SIZES if not bench.quick else (200,):
            filling = Filling(size)
            for way in KINDS:
                try:
                    with RedisServer(way) as server:
                        _at(bench, way, server, filling, folder, worker if way == "search" else None)
                except ServersUnavailable as error:
                    bench.missing(f"{size:,}: {way}", str(error))


def _at(bench: Bench, way: str, server: RedisServer, filling: Filling, folder: Path, worker: Worker | None) -> None:
    import redis.asyncio

    size = len(filling.rows)
    bench.say(f"{way}, {size:,} entries: filling")
    backend = RedisBackend(server.url, search=way, front_size=0)
    client = redis.asyncio.Redis.from_url(server.url, protocol=2)
    items = filling.items()

    async def memory() -> int:
        return int((await client.info("memory"))["used_memory"])

    before = bench.run(memory())
    bench.run(backend.set_many(items))
    bench.value(f"{size:,}: {way}, memory per entry", (bench.run(memory()) - before) / size, "B")
    limits: dict[str, Any] = {"scope": filling.scope_hash, "embedder": EMBEDDER}

    async def prepare() -> float:
        await client.set("bare", b"x" * (len(ANSWER) + 4 * filling.rows.shape[1] + 200))
        await backend.find_candidates(filling.queries[0], SIMILARITY, k=1, **limits)
        import asyncio

        await asyncio.sleep(1.0 if not bench.quick else 0.1)  # what a first search sets off in the background
        right = 0
        best = (filling.rows @ filling.queries.T).argmax(axis=0)
        for number, query in enumerate(filling.queries):
            found = await backend.find_candidates(query, SIMILARITY, k=1, **limits)
            right += bool(found) and found[0].key == items[best[number]][0]
        return right / len(filling.queries)

    bench.value(f"{size:,}: {way}, recall of the nearest", bench.run(prepare()), "", at_least(0.99, ""))
    keys = [key for key, _ in items[:500]]
    fresh = ((f"new-{n}", items[n % size][1]) for n in itertools.count())

    def near(query: Any) -> Awaitable[object]:
        return backend.find_candidates(query, SIMILARITY, k=1, **limits)

    queries = list(filling.queries)
    raw = [query.astype("<f4").tobytes() for query in queries]
    contenders: list[Contender] = [
        bench.awaits("exact", backend.get, keys, 200),
        bench.awaits("GET", lambda _: client.get("bare"), keys, 200),
        bench.awaits("near", near, queries, 100),
        bench.awaits("put", lambda _: backend.set(*next(fresh)), [None], 50),
    ]
    bare = _bare(way, backend, client, place_of(filling.scope_hash, EMBEDDER, filling.rows.shape[1]))
    if bare is not None:
        contenders.append(bench.awaits(BARE, bare, raw, 100))
    times = bench.interleave(contenders, 9)
    bench.ratio(f"{size:,}: {way}, exact hit", times, "exact", "GET", at_most(1.5))
    if bare is None:
        bench.ratio(f"{size:,}: {way}, near hit", times, "near", "GET", note="the search itself is in this process")
    else:
        bench.ratio(f"{size:,}: {way}, near hit", times, "near", BARE, at_most(1.5))
    bench.ratio(f"{size:,}: {way}, put", times, "put", "GET")
    if worker is not None:
        _against_redisvl(bench, server, filling, folder, worker, near, backend, fresh)
    bench.run(backend.close())
    bench.run(client.aclose())


def _bare(way: str, backend: RedisBackend, client: Any, place: str) -> Callable[[bytes], Awaitable[object]] | None:
    kept = backend._way
    assert kept is not None
    dimension = int(place.rsplit("d", 1)[1])
    if way == "search":
        query = f"(@p:{{{place}}})=>[KNN 1 @v $q EF_RUNTIME 100 AS c]"
        index = kept.names.base + b"%d" % dimension
        return lambda raw: client.execute_command(
            "FT.SEARCH", index, query, "PARAMS", 2, "q", raw, "RETURN", 2, "d", "c", "DIALECT", 2
        )
    if way == "vectorset":
        name = kept.names.other("v", 0, place)
        return lambda raw: client.execute_command(
            "VSIM", name, "FP32", raw, "WITHSCORES", "COUNT", 8, "EF", 100, "NOTHREAD"
        )
    return None


def _against_redisvl(
    bench: Bench, server: RedisServer, filling: Filling, folder: Path, worker: Worker, near: Any,
    backend: RedisBackend, fresh: Any,
) -> None:  # fmt: skip
    size = len(filling.rows)
    rows, queries = folder / f"redisvl-{size}.npy", folder / f"redisvl-queries-{size}.npy"
    np.save(rows, filling.rows)
    np.save(queries, filling.queries)
    bench.say(f"{size:,} entries: filling redisvl")
    worker.ask("fill", url=server.url, vectors=str(rows), prompts=filling.prompts, response=ANSWER)
    best = [filling.prompts[n] for n in (filling.rows @ filling.queries.T).argmax(axis=0)]
    recall = worker.ask("recall", size=size, vectors=str(queries), expected=best)
    calls = bench.size(50, 5)
    checks = [
        bench.awaits("near", near, list(filling.queries), 50),
        Contender("redisvl", lambda n: worker.ask("near", size=size, vectors=str(queries), calls=n), calls),
    ]
    faster: Target = at_most(1.0)
    note = f"recall of redisvl's acheck here {recall:.3f}"
    times = bench.interleave(checks, 7)
    bench.ratio(f"{size:,}: search, near hit", times, "near", "redisvl", faster, note=note)
    writes = [
        bench.awaits("put", lambda _: backend.set(*next(fresh)), [None], 50),
        Contender(
            "redisvl", lambda n: worker.ask("put", size=size, vectors=str(rows), calls=n, response=ANSWER), calls
        ),
    ]
    times = bench.interleave(writes, 7)
    bench.ratio(f"{size:,}: search, put", times, "put", "redisvl", faster)
