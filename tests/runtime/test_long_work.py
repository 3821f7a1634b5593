"""What goes through many entries lets the event loop run in between: told by its turns, not by the time it takes."""

import asyncio

import pytest

from semantic_llm_cache import export_cache
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.runtime import yielding
from semantic_llm_cache.storage import StorageBackend

COUNT = 300


@pytest.fixture(autouse=True)
def every_step_is_long(monkeypatch):
    monkeypatch.setattr(yielding, "_STEP", 0.0)


async def turns(work):
    """Return what `work` gives, and how often others got a turn while it ran."""
    task, count = asyncio.ensure_future(work), 0
    while not task.done():
        await asyncio.sleep(0)
        count += 1
    return task.result(), count


def items():
    return [(f"k{n}", CacheEntry(f"p{n}", n, [1.0, n / COUNT], scope="s", embedder="old")) for n in range(COUNT)]


class AtOnce(MemoryBackend):
    """One whose entries come without any wait."""

    async def scan(self, batch_size=500, namespace=None):
        for item in items():
            yield item

    async def find_similar(self, embedding, threshold, namespace=None, *, scope=None):
        return "other", CacheEntry("p", 0, [1.0, 0.0], scope="s", embedder="new"), 1.0

    find_candidates = StorageBackend.find_candidates


async def test_an_export_is_built_in_slices(tmp_path):
    records, count = await turns(export_cache(backend=AtOnce(), filepath=tmp_path / "all.jsonl"))
    assert [record["key"] for record in records] == [f"k{n}" for n in range(COUNT)]
    assert records[7]["embedding"] == pytest.approx([1.0, 7 / COUNT])
    assert count > 2 * COUNT  # gathered, and then made into dicts
    assert len((tmp_path / "all.jsonl").read_text().splitlines()) == COUNT


async def test_iterate_in_memory_is_built_in_slices():
    backend = MemoryBackend()
    _, count = await turns(backend.set_many(items()))
    assert count > COUNT
    found, count = await turns(backend.iterate())
    assert len(found) == COUNT
    assert count > 2 * COUNT
    found, count = await turns(backend.get_many([f"k{n}" for n in range(COUNT)], touch=False))
    assert len(found) == COUNT
    assert count > COUNT
    done, count = await turns(backend.set_vectors([(f"k{n}", f"p{n}", [0.0, 1.0]) for n in range(COUNT)], "new"))
    assert done == [True] * COUNT
    assert count > COUNT


async def test_a_search_by_comparing_all_is_done_in_slices():
    # The nearest of all, which the search of its own gives, is outside the limits.
    found, count = await turns(AtOnce().find_candidates([1.0, 0.0], 0.9, k=3, scope="s", embedder="old"))
    assert [candidate.key for candidate in found] == ["k0", "k1", "k2"]
    assert count > COUNT


async def test_entries_are_encoded_in_slices(tmp_path):
    async with SQLiteBackend(str(tmp_path / "a.db")) as backend:
        written, count = await turns(backend.set_many(items()))
        assert written == COUNT
        assert count > COUNT
