"""The contract, over every backend; and over one written against the seven abstract methods alone."""

import numpy as np
import pytest

from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.similarity import cosine_similarity
from semantic_llm_cache.similarity.base import unit
from semantic_llm_cache.storage import StorageBackend
from semantic_llm_cache.testing import BackendConformance
from semantic_llm_cache.values.encoding import dumps, loads


class TestMemory(BackendConformance):
    def make_backend(self, clock):
        return MemoryBackend(clock=clock)


class TestBoundedMemory(BackendConformance):
    def make_backend(self, clock):
        return MemoryBackend(max_size=5000, max_bytes=50_000_000, clock=clock)


class TestSQLite(BackendConformance):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path):
        self.path = tmp_path / "cache.db"

    def make_backend(self, clock):
        return SQLiteBackend(self.path, clock=clock)


class TestBoundedSQLite(TestSQLite):
    def make_backend(self, clock):
        return SQLiteBackend(self.path, clock=clock, max_size=5000)


class SevenMethods(StorageBackend):
    """What somebody would write first: dicts of JSON, and a loop over all entries."""

    def __init__(self, clock):
        self.clock = clock
        self.rows = {}
        self.hits = self.misses = 0

    def _read(self, key):
        import dataclasses

        entry, text = self.rows.get(key, (None, ""))
        if entry is None or entry.is_expired(self.clock()):
            return None
        vector = None if entry.embedding is None else entry.embedding.copy()
        return dataclasses.replace(entry, response=loads(text), embedding=vector)

    def _count(self, found):
        self.hits, self.misses = self.hits + (found is not None), self.misses + (found is None)
        return found

    async def get(self, key):
        return self._count(self._read(key))

    async def set(self, key, entry):
        import dataclasses

        vector = None if entry.embedding is None else np.array(unit(entry.embedding))
        self.rows[key] = (dataclasses.replace(entry, response=None, embedding=vector), dumps(entry.response))

    async def delete(self, key):
        live = self._read(key) is not None
        self.rows.pop(key, None)
        return live

    async def clear(self, namespace=None):
        return sum([await self.delete(key) for key, _ in await self.iterate(namespace)])

    async def iterate(self, namespace=None):
        items = [(key, entry) for key in list(self.rows) if (entry := self._read(key)) is not None]
        items.sort(key=lambda item: item[1].created_at)
        return [item for item in items if namespace in (None, item[1].namespace)]

    async def find_similar(self, embedding, threshold, namespace=None, *, scope=None):
        query = unit(embedding)
        best = None
        for key, entry in await self.iterate(namespace):
            if entry.embedding is None or entry.embedding.shape != query.shape:
                continue
            if scope not in (None, entry.scope):
                continue
            similarity = max(0.0, cosine_similarity(query, entry.embedding))
            if similarity >= threshold - 1e-6 and (best is None or similarity > best[2]):
                best = (key, entry, similarity)
        return self._count(best)

    async def get_stats(self):
        return {"size": len(await self.iterate()), "hits": self.hits, "misses": self.misses}


class TestSevenMethods(BackendConformance):
    keeps_counters = keeps_hits = reads_quietly = False

    def make_backend(self, clock):
        return SevenMethods(clock)
