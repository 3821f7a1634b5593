"""The PyPI package `semantic-llm-cache==0.1.0`, which has our import name: runs in its own environment."""

from __future__ import annotations

import itertools
import os
import time
from typing import Any

import numpy as np

from benchmarks.workers.protocol import serve, time_calls, versions
from semantic_llm_cache import cache
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.config import CacheEntry

_stores: dict[str, Any] = {}
_asked: dict[str, Any] = {}
_fresh = itertools.count()


def _entry(prompt: str, response: str, vector: list[float] | None) -> CacheEntry:
    return CacheEntry(
        prompt=prompt, response=response, embedding=vector, created_at=time.time(), ttl=3600,
        namespace="default", hit_count=0, input_tokens=20, output_tokens=200,
    )  # fmt: skip


def fill(store: str, folder: str, vectors: str, prompts: list[str], response: str) -> int:
    """Make a store and put one entry for each row of the array file `vectors` into it."""
    rows = np.load(vectors)
    if store == "memory":
        backend: Any = MemoryBackend()
    else:
        backend = SQLiteBackend(os.path.join(folder, f"peer-{len(rows)}.db"))
        backend._get_connection().execute("PRAGMA synchronous=OFF")  # while filling: it is not timed
    for i, (row, prompt) in enumerate(zip(rows, prompts, strict=True)):
        backend.set(f"key-{i}", _entry(prompt, response, row.tolist()))
    if store != "memory":
        backend._get_connection().execute("PRAGMA synchronous=FULL")  # as it is by default

    @cache(backend=backend)
    def ask(prompt: str) -> str:
        return response

    _stores[store], _asked[store] = backend, ask
    return len(rows)


def near(store: str, vectors: str, calls: int, expected: bool = True) -> Any:
    """Time lookups by vector, without embedding."""
    queries = [row.tolist() for row in np.load(vectors)]
    backend = _stores[store]
    if (backend.find_similar(queries[0], 0.95) is not None) is not expected:
        raise AssertionError("the first query must be a hit")
    items = list(itertools.islice(itertools.cycle(queries), calls))
    return time_calls(lambda query: backend.find_similar(query, 0.95), items)


def exact(store: str, calls: int) -> Any:
    """Time hits of the decorated function."""
    ask = _asked[store]
    ask("What is asked again and again?")
    return time_calls(ask, ["What is asked again and again?"] * calls)


def get(store: str, keys: list[str]) -> Any:
    """Time reads by key."""
    backend = _stores[store]
    assert backend.get(keys[0]) is not None
    return time_calls(backend.get, keys)


def put(store: str, vectors: str, calls: int, response: str) -> Any:
    """Time writes of new entries, vector included."""
    rows = [row.tolist() for row in np.load(vectors)]
    items = [
        (f"new-{next(_fresh)}", _entry("What is new?", response, row))
        for row in itertools.islice(itertools.cycle(rows), calls)
    ]
    backend = _stores[store]
    return time_calls(lambda item: backend.set(*item), items)


serve(
    {
        "fill": fill, "near": near, "exact": exact, "get": get, "put": put,
        "versions": lambda: versions("semantic-llm-cache", "numpy"),
    }
)  # fmt: skip
