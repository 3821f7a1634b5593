"""The front of a persistent backend: quick, and right about what this process writes."""

import sqlite3

import pytest

from semantic_llm_cache import SemanticCache, last_lookup
from semantic_llm_cache.backends import SQLiteBackend
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.storage.front import Front


@pytest.fixture
async def backend(tmp_path):
    # Short enough that no listener begins, which empties the front once.
    async with SQLiteBackend(tmp_path / "cache.db", front_seconds=2) as found:
        yield found


def asker(backend, **options):
    calls = []

    @SemanticCache(backend, **options).cache
    async def ask(prompt: str) -> list:
        calls.append(prompt)
        return [prompt, len(calls)]

    return ask, calls


async def test_a_repeated_hit_does_not_touch_the_disk(backend):
    ask, calls = asker(backend)
    await ask("a")
    await ask("a")
    before = backend._hits
    for _ in range(5):
        assert await ask("a") == ["a", 1]
        assert last_lookup().outcome == "exact"
    assert (backend._hits, calls) == (before, ["a"])


async def test_readers_cannot_change_what_the_front_holds(backend):
    ask, _ = asker(backend)
    await ask("a")
    for _ in range(3):
        (await ask("a")).append("mine")
    assert await ask("a") == ["a", 1]


async def test_own_deletion_and_replacement_are_seen_at_once(backend):
    ask, calls = asker(backend)
    await ask("a")
    await ask("a")
    await ask.cache_invalidate("a")
    assert await ask("a") == ["a", 2]
    await ask("a")
    await backend.clear()
    assert await ask("a") == ["a", 3]
    await ask("a")
    await backend.invalidate("a")
    assert await ask("a") == ["a", 4]
    assert len(calls) == 4


async def test_expiry_is_seen_in_the_front(backend):
    now = [1000.0]
    ask, calls = asker(backend, ttl=10, clock=lambda: now[0])
    await ask("a")
    await ask("a")
    now[0] += 10
    await ask("a")
    assert len(calls) == 2


async def test_with_a_short_bound_nobody_listens_and_another_process_is_noticed_after_it(tmp_path, monkeypatch):
    path = tmp_path / "cache.db"
    async with SQLiteBackend(path, front_seconds=2) as backend:
        ask, calls = asker(backend)
        await ask("a")
        await ask("a")
        with sqlite3.connect(path) as other:  # another connection, as another process has
            other.execute("DELETE FROM entries")
        other.close()
        await ask("a")
        assert len(calls) == 1  # within the bound
        import time

        later = time.monotonic() + 3
        monkeypatch.setattr("semantic_llm_cache.storage.front.time.monotonic", lambda: later)
        await ask("a")
        assert len(calls) == 2


async def test_zero_turns_it_off(tmp_path):
    async with SQLiteBackend(tmp_path / "cache.db", front_seconds=0) as backend:
        ask, _ = asker(backend)
        await ask("a")
        await ask("a")
        before = backend._hits
        await ask("a")
        assert backend._hits == before + 1


async def test_hits_from_the_front_are_counted_in_the_file(backend):
    ask, _ = asker(backend)
    for _ in range(5):
        await ask("a")
    await ask.cache_controls.engine.close()
    [(_, entry)] = await backend.iterate()
    assert entry.hit_count == 4


def test_a_read_that_began_before_a_write_is_not_kept():
    from semantic_llm_cache.config import CacheEntry

    front = Front()
    generation = front.generation
    front.drop("other")
    front.put("k", CacheEntry("p", "old"), generation)
    assert front.get("k") is None


@pytest.mark.parametrize("options", [{"front_size": -1}, {"front_seconds": -1}, {"front_size": True}])
def test_bad_values_name_the_argument(tmp_path, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        SQLiteBackend(tmp_path / "cache.db", **options)


def test_what_changes_an_entry_drops_it_before_and_after_also_when_that_fails():
    front = Front(8, 60.0)
    for keys in (["k"], None):
        front.put("k", CacheEntry("p", "old"), front.generation)
        began = front.generation
        with pytest.raises(OSError, match="full"), front.changing(keys):
            assert front.get("k") is None
            front.put("k", CacheEntry("p", "old"), front.generation)  # a read brings the old one back
            raise OSError("full")
        assert front.get("k") is None
        front.put("k", CacheEntry("p", "old"), began)
        assert front.get("k") is None
