"""Redis, in its three ways: hits and writes against the bare command of the same run, and redisvl.

The bare commands go through redis-py's own client on one connection, as ours do: `GET` of as many bytes;
`FT.SEARCH` and `VSIM` with the same vectors, the same candidates in view (EF), the same filter and policy, so with
the same recall, `FT.SEARCH` returning the answer; for writes `HSET` of the same hash into the same index, `VADD`
and `HSET` in one transaction. The embedding is a lookup in a dict. The front in the process is off: what
is measured is the way to the server and back. redisvl's `acheck` and `astore` are given their vectors; its
index is the module's default, flat.

SERVER_SIZES=10000 and REDIS_WAYS=search,plain in the environment limit what is measured.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scripts.servers.common import ServersUnavailable
from scripts.servers.redis import KINDS, RedisServer

from benchmarks.data import ALSO, ANSWER, EMBEDDER, SIMILARITY, TEXT, Filling
from benchmarks.harness import Bench, Contender, at_least, at_most
from benchmarks.peers import Worker, peer
from benchmarks.servers import fresh_items, per_call, report_server_time, sizes, strangers
from semantic_llm_cache.backends import RedisBackend
from semantic_llm_cache.backends.redis.entries import encode, place_of
from semantic_llm_cache.config import CacheEntry

REDISVL = ["redisvl==0.28.0", "hiredis>=3"]
BARE = "bare command"
_NEW = 1000

Items = Iterator[tuple[str, CacheEntry]]
Call = Callable[[Any], Awaitable[object]]


def run(bench: Bench) -> None:
    """Measure at 10,000 and 100,000 entries."""
    ways = os.environ.get("REDIS_WAYS", ",".join(KINDS)).split(",")
    with peer(bench, "redisvl", REDISVL, "run_redisvl.py") as worker, bench.temporary() as folder:
        for size in sizes(bench):
            filling = Filling(size)
            for way in ways:
                try:
                    with RedisServer(way) as server:
                        _at(bench, way, server, filling, folder, worker if way == "search" else None)
                except ServersUnavailable as error:
                    bench.missing(f"{size:,}: {way}", str(error))


def _at(bench: Bench, way: str, server: RedisServer, filling: Filling, folder: Path, worker: Worker | None) -> None:
    import redis.asyncio

    size = len(filling.rows)
    what = f"{size:,}: {way}"
    bench.say(f"{way}, {size:,} entries: filling")
    backend = RedisBackend(server.url, search=way, front_size=0)
    client = redis.asyncio.Redis.from_url(server.url, protocol=2)
    items = filling.items()

    async def memory() -> int:
        return int((await client.info("memory"))["used_memory"])

    before, began = bench.run(memory()), time.perf_counter()
    bench.run(backend.set_many(items))
    bench.value(f"{what}, set_many", size / (time.perf_counter() - began), "/s")
    plain = 4 * filling.rows.shape[1] + len(ANSWER)
    bench.value(
        f"{what}, memory in the server", (bench.run(memory()) - before) / size, "B",
        note=f"per entry; vector and answer alone {plain} B",
    )  # fmt: skip
    limits: dict[str, Any] = {"scope": filling.scope_hash, "embedder": EMBEDDER}

    def near(query: Any) -> Awaitable[object]:
        return backend.find_candidates(query, SIMILARITY, k=1, **limits)

    for number in range(500):
        bench.run(client.set(f"bare-{number}", b"x" * (plain + 200)))
    bench.run(_settle(bench, backend, near, filling))
    right = 0
    best = (filling.rows @ filling.queries.T).argmax(axis=0)
    for number, query in enumerate(filling.queries):
        found: Any = bench.run(_await(near(query)))
        right += bool(found) and found[0].key == items[best[number]][0]
    bench.value(f"{what}, recall of the nearest", right / len(filling.queries), "", at_least(0.99, ""))

    place = place_of(filling.scope_hash, EMBEDDER, filling.rows.shape[1])
    keys = [key for key, _ in items[:500]]
    queries = list(filling.queries)
    raw = [query.astype("<f4").tobytes() for query in queries]
    contenders: list[Contender] = [
        bench.awaits("exact", backend.get, keys, 200),
        bench.awaits("exact, near cache", lambda key: backend.recall(key, TEXT), keys, 200),
        bench.awaits("GET", client.get, [f"bare-{number}" for number in range(500)], 200),
        bench.awaits("near", near, queries, 100),
    ]
    bare = _bare(way, backend, client, place)
    if bare is not None:
        contenders.append(bench.awaits(BARE, bare, raw, 100))
    times = bench.interleave(contenders, 15)
    bench.ratio(f"{what}, exact hit", times, "exact", "GET", at_most(1.5))
    bench.ratio(f"{what}, exact hit of a near cache", times, "exact, near cache", "GET", note=ALSO)
    if bare is None:
        bench.ratio(f"{what}, near hit", times, "near", "GET", note="the search itself is in this process")
    else:
        bench.ratio(f"{what}, near hit", times, "near", BARE, at_most(1.5))

    rows = strangers(bench.size(_NEW, 50))
    fresh = fresh_items(filling, rows)
    times = bench.interleave(
        [
            bench.awaits("put", lambda _: backend.set(*next(fresh)), [None], 50),
            bench.awaits(BARE, _bare_put(way, backend, client, fresh), [None], 50),
        ],
        11,
    )
    bench.ratio(f"{what}, put", times, "put", BARE)
    count = bench.size(1000, 20)
    new = list(itertools.islice(fresh, count // 2))
    report_server_time(
        bench, what,
        per_call(bench, lambda: [server.pid], near, (queries * 16)[:count]),
        per_call(bench, lambda: [server.pid], backend.get, (keys * 8)[: 4 * count]),
        per_call(bench, lambda: [server.pid], lambda item: backend.set(*item), new),
    )  # fmt: skip
    if worker is not None:
        _against_redisvl(bench, server, filling, rows, folder, worker, near, backend, fresh)
    bench.run(backend.close())
    bench.run(client.aclose())


async def _await(awaitable: Awaitable[object]) -> object:
    return await awaitable


async def _settle(bench: Bench, backend: RedisBackend, near: Call, filling: Filling) -> None:
    """Do the work that a first search starts: entries are counted, a copy of the vectors is read and put in lists."""
    await near(filling.queries[0])
    await backend.get("nothing")
    mirror: Any = None
    while mirror is None or (mirror and len(mirror) < len(filling.rows)):
        await asyncio.sleep(0.05)
        mirror = getattr(backend._way, "_mirror", False)
    if mirror:
        await asyncio.to_thread(mirror.index.indexer.wait, 300)
    await asyncio.sleep(1.0 if not bench.quick else 0.1)


def _bare(way: str, backend: RedisBackend, client: Any, place: str) -> Call | None:
    """Return the server's own search, or None where it has none."""
    kept = backend._way
    assert kept is not None
    dimension = int(place.rsplit("d", 1)[1])
    if way == "search":
        policy = kept._policy(place, dimension)  # type: ignore[attr-defined]
        query = f"(@p:{{{place}}})=>[KNN 1 @v $q{policy} EF_RUNTIME 100 AS c]"
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


def _bare_put(way: str, backend: RedisBackend, client: Any, fresh: Items) -> Call:
    """Return a write of the same bytes into the same index, encoded beforehand but for the names of the keys."""
    kept = backend._way
    assert kept is not None
    key, entry = next(fresh)
    row = encode(key, entry, time.time(), injected=False)
    fields = ["d", row.data, "x", row.expires, "s", row.scope, "n", row.namespace, "h", 0, "a", b"", "v"]
    numbers = itertools.count()
    vectors = itertools.cycle([encode(*next(fresh), time.time(), injected=False).vector for _ in range(500)])
    # In a place of its own, so that no search meets what is no entry.
    prefix, place = kept.names.all_entries + b"{0}bare-", b"bare"
    other = kept.names.other("v", 0, row.place)

    async def put(_: Any) -> object:
        vector, name = next(vectors), prefix + b"%d" % next(numbers)
        if way == "search":
            return await client.execute_command("HSET", name, "p", place, *fields, vector)
        if way == "plain":
            return await client.execute_command("HSET", b"bare-" + name, "p", place, *fields, vector)
        async with client.pipeline(transaction=True) as pipeline:
            pipeline.execute_command("VADD", other, "FP32", vector, name, "Q8")
            pipeline.execute_command("HSET", b"bare-" + name, "p", place, *fields, vector)
            return await pipeline.execute()

    return put


def _against_redisvl(
    bench: Bench, server: RedisServer, filling: Filling, new: Any, folder: Path, worker: Worker, near: Call,
    backend: RedisBackend, fresh: Items,
) -> None:  # fmt: skip
    size = len(filling.rows)
    rows, queries, others = (str(folder / f"redisvl-{what}-{size}.npy") for what in ("rows", "queries", "new"))
    np.save(rows, filling.rows)
    np.save(queries, filling.queries)
    np.save(others, new)
    bench.say(f"{size:,} entries: filling redisvl")
    used = worker.ask("fill", url=server.url, vectors=rows, prompts=filling.prompts, response=ANSWER)
    bench.value(f"{size:,}: redisvl, memory in the server", used, "B", note="per entry")
    best = [filling.prompts[n] for n in (filling.rows @ filling.queries.T).argmax(axis=0)]
    recall = worker.ask("recall", size=size, vectors=queries, expected=best)
    calls = bench.size(30, 5)

    def theirs(operation: str, **arguments: Any) -> Contender:
        return Contender("redisvl", lambda n: worker.ask(operation, size=size, calls=n, **arguments), calls)

    note = f"recall of redisvl's acheck here {recall:.3f}"
    times = bench.interleave(
        [bench.awaits("near", near, list(filling.queries), 50), theirs("near", vectors=queries)], 9
    )
    bench.ratio(f"{size:,}: search, near hit", times, "near", "redisvl", at_most(1.0), note=note)
    times = bench.interleave(
        [
            bench.awaits("put", lambda _: backend.set(*next(fresh)), [None], 50),
            theirs("put", vectors=others, response=ANSWER),
        ],
        9,
    )
    bench.ratio(
        f"{size:,}: search, put", times, "put", "redisvl",
        note="the server puts our vector into its graph, theirs at the end of a list",
    )  # fmt: skip

    async def miss(_: Any) -> None:
        key, entry = next(fresh)
        await near(entry.embedding)
        await backend.set(key, entry)

    times = bench.interleave(
        [bench.awaits("miss", miss, [None], 30), theirs("miss", vectors=others, response=ANSWER)], 9
    )
    bench.ratio(f"{size:,}: search, a miss: lookup by meaning and put", times, "miss", "redisvl", at_most(1.0))
