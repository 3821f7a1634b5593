"""Fills one of our stores in a fresh process and reports its memory."""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
from sys import getsizeof
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.workers.protocol import resident_bytes, serve
from semantic_llm_cache import CacheConfig, Request
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.config import CacheEntry

_DIMENSION = 384
_CHUNK = 1000


def measure(store: str, scopes: int, per_scope: int) -> dict[str, float]:
    """Return bytes per entry, payload apart; those of the index; tracked objects; seconds of a full collection."""
    folder = tempfile.mkdtemp()
    backend: Any = MemoryBackend() if store == "memory" else SQLiteBackend(os.path.join(folder, "memory.db"))
    try:
        return asyncio.run(_measure(backend, store, scopes, per_scope))
    finally:
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        os.rmdir(folder)


async def _measure(backend: Any, store: str, scopes: int, per_scope: int) -> dict[str, float]:
    assert CacheConfig().ttl == 3600  # what entries get by default: their expiry is part of the memory
    rng = np.random.default_rng(1)
    hashes = [Request("bench", {"tenant": i}, "").scope_hash for i in range(scopes)]
    await _fill(backend, hashes[:1], rng, 0, 1)
    await backend.find_similar(np.ones(_DIMENSION, dtype=np.float32), 0.5, scope=hashes[0])
    await backend.clear()
    before, objects = resident_bytes(), len(gc.get_objects())
    total = scopes * per_scope
    payload = 0
    for start in range(0, total, _CHUNK):
        stop = min(start + _CHUNK, total)
        payload += await _fill(backend, [hashes[i // per_scope] for i in range(start, stop)], rng, start, stop)
    if store != "memory":
        # The index in the process is read in by the first search.
        await backend.find_similar(np.ones(_DIMENSION, dtype=np.float32), 0.99)
        payload = 0
    index = backend._index if store == "memory" else backend._searcher.index
    index.indexer.wait(300)  # its lists are built in the background
    after = resident_bytes()
    tracked = len(gc.get_objects()) - objects
    started = perf_counter()
    gc.collect()
    seconds = perf_counter() - started
    await backend.close()
    return {
        "bytes": (after - before - payload) / total,
        "index": index.nbytes / total,
        "objects": tracked / total,
        "collect_s": seconds,
        "entries": total,
    }


async def _fill(backend: Any, scopes: list[str], rng: np.random.Generator, start: int, stop: int) -> int:
    rows = rng.standard_normal((stop - start, _DIMENSION), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    payload = 0
    items = []
    for scope, row, number in zip(scopes, rows, range(start, stop), strict=True):
        prompt = f"What does the manual say about part number {number}?"
        response = f"{number}: " + "x" * 500
        payload += getsizeof(prompt) + getsizeof(response)
        entry = CacheEntry(
            prompt, response, row, ttl=3600.0, namespace="bench", scope=scope, embedder="bench-384",
            tags=("function:bench",),
        )  # fmt: skip
        items.append((Request("bench", {"n": number}, prompt).key, entry))
    await backend.set_many(items)
    return payload


serve({"measure": measure})
