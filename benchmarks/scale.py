"""Scale-out: 1, 2 and 4 client processes on one server; what a cluster's fan-out and shared single flight cost.

Clients and server share one machine, so the sum of lookups stops growing when its cores are busy, not when the
server is. What carries over to other machines is the processor time that a lookup takes, on the server and on the
client, measured while four clients ask: 1 / (server's time per lookup) is what one core of a server answers, as long
as neither network nor the rest of the machine is in the way. `docs/scaling.md` computes with these figures.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from scripts.servers.common import ServersUnavailable
from scripts.servers.postgres import PostgresServer
from scripts.servers.redis import KINDS, RedisCluster, RedisServer

from benchmarks.data import EMBEDDER, SIMILARITY, Filling
from benchmarks.harness import Bench
from benchmarks.peers import Worker
from benchmarks.servers import processor_seconds
from semantic_llm_cache import SemanticCache
from semantic_llm_cache.backends import PostgresBackend, RedisBackend

CLIENTS = (1, 2, 4)
AT_ONCE = 16
_SECONDS = 1.5
_ROUNDS = 3


def run(bench: Bench) -> None:
    """Measure with 10,000 entries."""
    filling = Filling(bench.size(10_000, 200))
    for way in (*KINDS, "") if not bench.quick else ("plain", ""):
        name = f"Redis {way}" if way else "PostgreSQL"
        try:
            with RedisServer(way) if way else PostgresServer(18) as server, bench.temporary() as folder:
                _clients(bench, name, way, server, filling, folder)
                _single_flight(bench, name, way, server.url)
        except ServersUnavailable as error:
            bench.missing(name, str(error))
    for way in ("vectorset", "plain") if not bench.quick else ("vectorset",):
        with contextlib.suppress(ServersUnavailable):
            _fan_out(bench, way, filling)


def _backend(url: str, way: str, **options: Any) -> Any:
    return RedisBackend(url, search=way, **options) if way else PostgresBackend(url, **options)


def _processes(server: Any) -> list[int]:
    return server.processes() if isinstance(server, PostgresServer) else [server.pid]


# ------------------------------------------------------------------------------- many clients


def _clients(bench: Bench, name: str, way: str, server: Any, filling: Filling, folder: Path) -> None:
    bench.say(f"{name}: filling")
    items = filling.items()
    backend = _backend(server.url, way, front_size=0)
    bench.run(_fill(backend, filling, items))
    queries = str(folder / "queries.npy")
    np.save(queries, filling.queries)
    keys = [key for key, _ in items[:500]]
    counts = CLIENTS if not bench.quick else CLIENTS[:2]
    seconds = _SECONDS if not bench.quick else 0.1
    with _workers(max(counts), folder) as workers:
        for worker in workers:
            worker.ask(
                "connect", url=server.url, way=way, scope=filling.scope_hash, keys=keys, queries=queries,
                rest=bench.size(1, 0),
            )  # fmt: skip
        for kind in ("exact", "near"):
            bench.say(f"{name}: {kind} hits from {', '.join(map(str, counts))} clients")
            rounds = [
                {count: _ask(workers[:count], server, kind, seconds) for count in counts}
                for _ in range(bench.size(_ROUNDS, 1))
            ]
            for count in counts:
                _report(bench, f"{name}, {kind} hits, {count} client{'s' * (count > 1)}", [r[count] for r in rounds])
        for worker in workers:
            worker.ask("close")
    bench.run(backend.close())


async def _fill(backend: Any, filling: Filling, items: Any) -> None:
    await backend.set_many(items)
    link = getattr(backend, "_link", None)
    while hasattr(link, "graphs") and len(items) > backend.exact_limit and filling.rows.shape[1] not in link.graphs:
        await backend.find_candidates(filling.queries[0], SIMILARITY, k=1, scope=filling.scope_hash, embedder=EMBEDDER)
        await asyncio.sleep(0.1)


@contextlib.contextmanager
def _workers(count: int, folder: Path) -> Iterator[list[Worker]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Worker(sys.executable, "run_client", folder / f"{n}.log")) for n in range(count)]


def _ask(workers: Sequence[Worker], server: Any, kind: str, seconds: float) -> dict[str, float]:
    """Let all clients ask at the same time; return sums and times per lookup."""
    before, begin = processor_seconds(_processes(server)), time.time() + 0.05
    with ThreadPoolExecutor(len(workers)) as pool:
        told = list(
            pool.map(
                lambda worker: worker.ask("ask", kind=kind, begin=begin, seconds=seconds, at_once=AT_ONCE), workers
            )
        )
    spent = processor_seconds(_processes(server)) - before
    lookups = sum(one["lookups"] for one in told)
    return {
        "rate": sum(one["lookups"] / one["seconds"] for one in told),
        "server": spent / lookups,
        "client": sum(one["processor"] for one in told) / lookups,
        "median": float(np.median([one["median"] for one in told])),
    }


def _report(bench: Bench, what: str, rounds: Sequence[dict[str, float]]) -> None:
    middle = {name: float(np.median([one[name] for one in rounds])) for name in rounds[0]}
    bench.value(
        what, middle["rate"], "/s",
        note=f"processor time per lookup: server {1e6 * middle['server']:.0f} us, client {1e6 * middle['client']:.0f} "
        f"us; {AT_ONCE} at once per client, median {1e3 * middle['median']:.2f} ms",
    )  # fmt: skip


# ------------------------------------------------------------------- single flight across processes


def _single_flight(bench: Bench, name: str, way: str, url: str) -> None:
    """Compare misses, then exact hits, of an engine in the two modes."""
    answers: dict[str, Callable[[str], Any]] = {}
    engines = []
    for mode in ("process", "shared"):
        engine = SemanticCache(_backend(url, way, front_size=0), single_flight=mode, namespace=f"flight-{mode}")
        engines.append(engine)

        @engine.cache
        async def answer(prompt: str) -> str:
            return "yes"

        answers[mode] = answer
    numbers = itertools.count()
    what = f"{name}, single_flight='shared'"
    times = bench.interleave(
        [bench.awaits(mode, answers[mode], _Fresh(numbers), 100) for mode in ("process", "shared")], 11
    )
    bench.ratio(f"{what}, a miss", times, "shared", "process", note="lookup by key, call of nothing, put")
    prompts = [f"again {n}" for n in range(20)]
    times = bench.interleave([bench.awaits(mode, answers[mode], prompts, 200) for mode in answers], 11)
    bench.ratio(f"{what}, an exact hit", times, "shared", "process")
    for engine in engines:
        bench.run(engine.close())


class _Fresh(list[str]):
    """Prompts that nobody has asked before."""

    def __init__(self, numbers: Iterator[int]) -> None:
        self._numbers = numbers

    def __iter__(self) -> Iterator[str]:
        return (f"never asked {number}" for number in self._numbers)


# ---------------------------------------------------------------------------------- a cluster


def _fan_out(bench: Bench, way: str, filling: Filling) -> None:
    """Compare one server with a cluster of three: a near lookup concerns them all."""
    items = filling.items()
    cluster = RedisCluster(way)
    cluster.start()
    try:
        with RedisServer(way) as server:
            sides = {"one server": (server.url, [server.pid]), "cluster": (cluster.url, [n.pid for n in cluster.nodes])}
            backends = {side: RedisBackend(url, search=way, front_size=0) for side, (url, _) in sides.items()}
            for side, backend in backends.items():
                bench.say(f"{way}, {side}: filling")
                bench.run(backend.set_many(items))
                bench.run(_first(backend, filling, bench.size(1, 0)))
            keys = [key for key, _ in items[:500]]
            for kind in ("exact", "near"):
                contenders, spent = [], {}
                for side, backend in backends.items():
                    one = backend.get if kind == "exact" else _near(backend, filling)
                    things: list[Any] = keys if kind == "exact" else list(filling.queries)
                    contenders.append(bench.awaits(side, one, things, 100))
                    before = processor_seconds(sides[side][1])
                    bench.interleave(contenders[-1:], 10)
                    spent[side] = (processor_seconds(sides[side][1]) - before) / (
                        contenders[-1].calls * bench.size(11, 3)
                    )
                times = bench.interleave(contenders, 11)
                note = ", ".join(f"{side} {1e6 * seconds:.0f} us" for side, seconds in spent.items())
                bench.ratio(
                    f"Redis {way}, {kind} hit on a cluster of 3", times, "cluster", "one server",
                    note=f"servers' processor time per lookup, all nodes together: {note}; "
                    f"{_shards(backends['cluster'])} shards",
                )  # fmt: skip
            for backend in backends.values():
                bench.run(backend.close())
    finally:
        cluster.stop()


def _shards(backend: RedisBackend) -> int:
    assert backend._way is not None
    return backend._way.names.shards


def _near(backend: RedisBackend, filling: Filling) -> Callable[[Any], Any]:
    return lambda query: backend.find_candidates(query, SIMILARITY, k=1, scope=filling.scope_hash, embedder=EMBEDDER)


async def _first(backend: RedisBackend, filling: Filling, rest: float) -> None:
    await _near(backend, filling)(filling.queries[0])
    await asyncio.sleep(rest)
