"""What encryption costs: exact hits, lookups by meaning and stores, on the same backend with a key and without."""

from __future__ import annotations

from typing import Any

from benchmarks.data import ANSWER, clustered, question
from benchmarks.harness import Bench
from semantic_llm_cache import Request, SemanticCache
from semantic_llm_cache.backends import EncryptedBackend, MemoryBackend, SQLiteBackend
from semantic_llm_cache.config import CacheEntry

KEY = "5a" * 32
EMBEDDER = "bench"


def run(bench: Bench) -> None:
    """Measure in memory, and on SQLite with and without its front of entries just read."""
    size = bench.size(1_000, 100)
    rows = clustered(size)
    with bench.temporary() as folder:
        for name, make in (
            ("memory", lambda place: MemoryBackend()),
            ("SQLite", lambda place: SQLiteBackend(folder / f"front-{place}.db")),
            ("SQLite without a front", lambda place: SQLiteBackend(folder / f"none-{place}.db", front_seconds=0)),
        ):
            bench.say(f"{name}: filling")
            plain, sealed = make("plain"), EncryptedBackend(make("sealed"), KEY)
            requests = [Request("bench", None, question(i)) for i in range(size)]
            for backend in (plain, sealed):
                bench.run(backend.set_many([(requests[i].key, _entry(requests[i], row)) for i, row in enumerate(rows)]))
            _measure(bench, name, {"plain": plain, "encrypted": sealed}, requests, rows)
            for backend in (plain, sealed):
                bench.run(backend.close())


def _measure(bench: Bench, name: str, backends: dict[str, Any], requests: list[Request], rows: Any) -> None:
    calls, rounds = bench.size(50, 10), bench.size(15, 3)
    engines = {kind: SemanticCache(backend, timeout=30) for kind, backend in backends.items()}

    def never() -> str:
        raise AssertionError("must be a hit")

    for what, items, does in (
        ("exact hit", requests[:calls], lambda kind, request: engines[kind].get_or_call(request, never)),
        (
            "near lookup",
            list(rows[:calls]),
            lambda kind, row: backends[kind].find_candidates(row, 0.9, scope=requests[0].scope_hash, embedder=EMBEDDER),
        ),
        (
            "store",
            [(f"new{i}", _entry(requests[i], rows[i])) for i in range(calls)],
            lambda kind, item: backends[kind].set(*item),
        ),
    ):
        times = bench.interleave(
            [
                bench.awaits(kind, lambda item, kind=kind, does=does: does(kind, item), items, calls)
                for kind in backends
            ],
            rounds,
        )
        bench.ratio(f"{name}, {what}", times, "encrypted", "plain")


def _entry(request: Request, row: Any) -> CacheEntry:
    return CacheEntry(
        request.text, ANSWER, row, ttl=3600.0, namespace="bench", scope=request.scope_hash, embedder=EMBEDDER
    )
