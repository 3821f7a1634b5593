"""PostgreSQL with pgvector: hits and writes against the bare statement of the same run.

The bare statements go through asyncpg on one connection, prepared, as ours do: a `SELECT` of answer and vector
by the primary key; the nearest by the same HNSW index with the same filter and the same settings
(`hnsw.ef_search`, iterative scan), so with the same recall, returning the answer; an `INSERT` of the same values
into the same table. The embedding is a lookup in a dict, the front in the process is off. The server runs with
`fsync=off`: what a write costs here is the server's work, not the wait for a disk; and with `shared_buffers` of 1 GB,
which the index fits in.

SERVER_SIZES=10000 in the environment limits what is measured.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable
from typing import Any

from scripts.servers.common import ServersUnavailable
from scripts.servers.postgres import PostgresServer

from benchmarks.data import ALSO, ANSWER, EMBEDDER, SIMILARITY, TEXT, Filling
from benchmarks.harness import Bench, at_least, at_most
from benchmarks.servers import fresh_items, per_call, report_server_time, sizes, strangers
from semantic_llm_cache.backends import PostgresBackend
from semantic_llm_cache.backends.postgres.rows import digest, encode
from semantic_llm_cache.backends.postgres.schema import _EF_SEARCH, Schema

BARE = "bare statement"
_SETTINGS = (
    f"SET hnsw.ef_search = {_EF_SEARCH}", "SET hnsw.iterative_scan = strict_order", "SET enable_seqscan = off",
    "SET enable_bitmapscan = off", "SET enable_sort = off", "SET jit = off",
)  # fmt: skip


def run(bench: Bench) -> None:
    """Measure at 10,000 and 100,000 entries."""
    for size in sizes(bench):
        try:
            with PostgresServer(18, {"shared_buffers": "1GB"}) as server:  # the graph fits in it, at either size
                _at(bench, server, Filling(size))
        except ServersUnavailable as error:
            bench.missing(f"{size:,}", str(error))


def _at(bench: Bench, server: PostgresServer, filling: Filling) -> None:
    import asyncpg

    size = len(filling.rows)
    what = f"{size:,}"
    # A small filling must use the graph as well.
    backend = PostgresBackend(server.url, front_size=0, exact_limit=min(1000, size // 2))
    items = filling.items()
    bench.say(f"{what} entries: filling")
    began = time.perf_counter()
    bench.run(backend.set_many(items))
    bench.value(f"{what}: set_many", size / (time.perf_counter() - began), "/s", note="no index of the vectors yet")
    limits: dict[str, Any] = {"scope": filling.scope_hash, "embedder": EMBEDDER}

    def near(query: Any) -> Awaitable[object]:
        return backend.find_candidates(query, SIMILARITY, k=1, **limits)

    async def graph() -> None:
        while filling.rows.shape[1] not in backend._link.graphs:
            await near(filling.queries[0])
            await asyncio.sleep(0.1)
        await near(filling.queries[0])

    bench.say(f"{what} entries: waiting for the graph")
    began = time.perf_counter()
    bench.run(graph())
    bench.value(f"{what}: the graph is made, in the background", size / (time.perf_counter() - began), "/s")
    connection = bench.run(asyncpg.connect(server.url))
    for words in _SETTINGS:
        bench.run(connection.execute(words))
    _sizes(bench, backend, connection, filling)

    async def nearest(query: Any) -> str:
        found = await backend.find_candidates(query, SIMILARITY, k=1, **limits)
        return found[0].key if found else ""

    best = (filling.rows @ filling.queries.T).argmax(axis=0)
    right = sum(bench.run(nearest(query)) == items[best[number]][0] for number, query in enumerate(filling.queries))
    bench.value(f"{what}: recall of the nearest", right / len(filling.queries), "", at_least(0.99, ""))
    _measure(bench, server, backend, connection, filling, [key for key, _ in items[:500]], near)
    bench.run(connection.close())
    bench.run(backend.close())


def _sizes(bench: Bench, backend: PostgresBackend, connection: Any, filling: Filling) -> None:
    names, size, dimension = _schema(backend).names, len(filling.rows), filling.rows.shape[1]
    graph = f'"{names.schema}"."{names.index(f"graph_{dimension}")}"'
    total = bench.run(connection.fetchval("SELECT pg_total_relation_size($1::text::regclass)", names.entries))
    index = bench.run(connection.fetchval("SELECT pg_relation_size($1::text::regclass)", graph))
    bench.value(
        f"{size:,}: on the disk, tables and indexes", total / size, "B",
        note=f"per entry; of which the graph {index / size:,.0f} B; vector and answer alone "
        f"{4 * dimension + len(ANSWER)} B",
    )  # fmt: skip


def _measure(
    bench: Bench,
    server: PostgresServer,
    backend: PostgresBackend,
    connection: Any,
    filling: Filling,
    keys: list[str],
    near: Any,
) -> None:
    schema = _schema(backend)
    entries, dimension = schema.names.entries, filling.rows.shape[1]
    vector, apart = schema.vector, schema.product

    def prepare(statement: str) -> Any:
        return bench.run(connection.prepare(statement))

    by_key = prepare(
        f"SELECT response, {schema.columns.split(', ')[3].replace('e.', '')} FROM {entries} WHERE digest = $1"
    )
    nearest = prepare(
        f"SELECT response, vector {apart} $1::real[]::{vector} FROM {entries} WHERE dimension = {dimension} "
        f"AND scope = $2 AND embedder = $3 ORDER BY (vector::{vector}({dimension})) {apart} "
        f"($1::real[]::{vector}({dimension})) LIMIT 1"
    )
    digests = [digest(key) for key in keys]
    lists = [query.tolist() for query in filling.queries]
    times = bench.interleave(
        [
            bench.awaits("exact", backend.get, keys, 200),
            bench.awaits("exact, near cache", lambda key: backend.recall(key, TEXT), keys, 200),
            bench.awaits("SELECT", by_key.fetch, digests, 200),
            bench.awaits("near", near, list(filling.queries), 60),
            bench.awaits(BARE, lambda q: nearest.fetch(q, filling.scope_hash, EMBEDDER), lists, 60),
        ],
        15,
    )
    what = f"{len(filling.rows):,}"
    bench.ratio(f"{what}: exact hit", times, "exact", "SELECT", at_most(1.5))
    bench.ratio(f"{what}: exact hit of a near cache", times, "exact, near cache", "SELECT", note=ALSO)
    bench.ratio(f"{what}: near hit", times, "near", BARE, at_most(1.5))

    fresh = fresh_items(filling, strangers(bench.size(1000, 50)))
    insert = prepare(schema.put[schema.put.index("INSERT") : schema.put.index(" ON CONFLICT")])
    numbers = itertools.count()
    ready = itertools.cycle([encode(*next(fresh)) for _ in range(500)])

    async def bare_put(_: Any) -> object:
        return await insert.fetch(digest(f"bare-{next(numbers)}"), *next(ready)[1:])

    times = bench.interleave(
        [
            bench.awaits("put", lambda _: backend.set(*next(fresh)), [None], 40),
            bench.awaits(BARE, bare_put, [None], 40),
        ],
        11,
    )
    bench.ratio(f"{what}: put", times, "put", BARE)
    count = bench.size(500, 20)
    report_server_time(
        bench, what,
        per_call(bench, server.processes, near, (list(filling.queries) * 8)[:count]),
        per_call(bench, server.processes, backend.get, (keys * 8)[: 4 * count]),
        per_call(
            bench, server.processes, lambda item: backend.set(*item), list(itertools.islice(fresh, count // 2))
        ),
    )  # fmt: skip


def _schema(backend: PostgresBackend) -> Schema:
    found = backend._link.schema
    assert found is not None
    return found
