"""Tests of entries by key, and of their expiry."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from decimal import Decimal
from typing import Any

import numpy as np

from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.testing._suite import Suite, X, at_cosine, direction, raises, with_backend
from semantic_llm_cache.values.encoding import same

__all__ = ["ByKey", "Expiry"]

_VALUES: list[Any] = [
    "plain",
    "",
    None,
    True,
    0,
    -1.5,
    2**80,
    float("inf"),
    b"\x00\xff",
    [],
    {},
    {"a": [1, {"b": None}], "$": "not a tag", "": ""},
    (1, "two", (3.0,)),
    {1, 2},
    frozenset({"x"}),
    {1: "int key", (1, 2): "tuple key"},
    dt.datetime(2024, 2, 29, 12, 30, 1, 5, tzinfo=dt.timezone.utc),
    dt.timedelta(days=-1, microseconds=3),
    Decimal("1.10"),
    uuid.UUID(int=7),
    "nul \x00, quotes ' \" and emoji \U0001f600",
]


class ByKey(Suite):
    """Check that a stored entry comes back unchanged until it is replaced or deleted."""

    @with_backend
    async def test_a_key_that_was_never_set_is_a_miss(self, backend: StorageBackend) -> None:
        assert await backend.get("nothing") is None
        assert await backend.delete("nothing") is False
        assert await backend.iterate() == []
        assert await backend.find_similar(X, 0.0) is None
        assert await backend.clear() == 0
        stats = await backend.get_stats()
        assert stats["size"] == 0
        assert stats["misses"] >= 1

    @with_backend
    async def test_every_field_comes_back(self, backend: StorageBackend) -> None:
        entry = CacheEntry(
            prompt="Wie heißt 東京?",
            response={"answer": ["Tōkyō"]},
            embedding=np.array(at_cosine(0.25), dtype=np.float32),
            created_at=self.clock.now - 0.125,
            ttl=3600.5,
            namespace="geo",
            hit_count=3,
            input_tokens=17,
            output_tokens=99,
            last_accessed=self.clock.now - 0.0625,
            scope="s" * 64,
            embedder="onnx:model:384:unit",
            kind="stream",
            tags=("a", "ü", 'quote "'),
            aliases=("How is Tokyo called?",),
            duration_ms=1234.5,
            cost_usd=0.000123,
        )
        await backend.set("k", entry)
        for found in (await backend.get("k"), (await backend.iterate())[0][1]):
            assert found == entry
            vector = np.asarray(found.embedding)
            assert vector.dtype == np.float32
            assert vector.shape == (8,)
            np.testing.assert_allclose(vector, entry.embedding, atol=1e-7)
        plain = self.entry()
        await backend.set("plain", plain)
        again = await backend.get("plain")
        assert again == plain
        assert again is not None
        assert again.embedding is None
        assert type(again.tags) is tuple

    @with_backend
    async def test_every_value_comes_back_as_its_type(self, backend: StorageBackend) -> None:
        for number, value in enumerate(_VALUES):
            await backend.set(f"k{number}", self.entry(response=value))
        await backend.set("nan", self.entry(response=[float("nan")]))
        for number, value in enumerate(_VALUES):
            found = await backend.get(f"k{number}")
            assert found is not None, value
            assert same(found.response, value), (found.response, value)
        found = await backend.get("nan")
        assert found is not None
        assert math.isnan(found.response[0])

    @with_backend
    async def test_what_cannot_be_stored_is_refused_and_harms_nothing(self, backend: StorageBackend) -> None:
        await backend.set("k", self.entry(response="good"))
        await raises(CacheSerializationError, backend.set("k", self.entry(response=object())))
        await raises(CacheSerializationError, backend.set("k", self.entry(response=[lambda: 1])))
        found = await backend.get("k")
        assert found is not None
        assert found.response == "good"

    @with_backend
    async def test_readers_get_private_copies(self, backend: StorageBackend) -> None:
        answer = {"list": [1, 2]}
        vector = np.array(X, dtype=np.float32)
        await backend.set("k", self.entry(response=answer, embedding=vector, scope="s", tags=("t",)))
        answer["list"].append(3)
        vector[:] = 0.5
        for found in (
            await backend.get("k"),
            (await backend.iterate())[0][1],
            (await backend.get_many(["k"]))[0],
            (await backend.find_candidates(X, 0.9))[0].entry,
        ):
            assert found is not None
            assert found.response == {"list": [1, 2]}
            np.testing.assert_allclose(found.embedding, X, atol=1e-7)
            found.response["list"].clear()
            found.prompt = found.scope = "other"
            found.hit_count = 99
            found.embedding[:] = 7.0

    @with_backend
    async def test_an_entry_is_deleted_by_the_time_of_its_store(self, backend: StorageBackend) -> None:
        now = self.clock.now - 1 / 3  # a time that no short decimal gives
        await backend.set("k", self.entry(created_at=now, embedding=X))
        await backend.set("other", self.entry(created_at=now))
        assert not await backend.delete_stored("k", now + 1e-6)
        assert not await backend.delete_stored("absent", now)
        assert await backend.get("k") is not None
        assert await backend.delete_stored("k", now)
        assert not await backend.delete_stored("k", now)
        assert [key for key, _ in await backend.iterate()] == ["other"]
        assert await backend.find_candidates(X, 0.9) == []
        await backend.set("k", self.entry(created_at=now + 1))
        assert not await backend.delete_stored("k", now)
        assert await backend.get("k") is not None

    @with_backend
    async def test_setting_again_replaces(self, backend: StorageBackend) -> None:
        await backend.set("k", self.entry(response=1, embedding=X, ttl=5))
        await backend.set("k", self.entry("Other?", response=2, embedding=direction(0.0, 1.0), namespace="n"))
        found = await backend.get("k")
        assert found is not None
        assert (found.prompt, found.response, found.ttl, found.namespace) == ("Other?", 2, None, "n")
        assert (await backend.get_stats())["size"] == 1
        assert await backend.find_similar(X, 0.5) is None
        near = await backend.find_similar(direction(0.0, 1.0), 0.5)
        assert near is not None
        assert near[:2] == ("k", found)
        assert await backend.iterate("default") == []
        await backend.set("k", self.entry(response=3))  # and now without a vector
        assert await backend.find_similar(direction(0.0, 1.0), 0.5) is None

    @with_backend
    async def test_delete(self, backend: StorageBackend) -> None:
        await backend.set("a", self.entry(embedding=X))
        await backend.set("b", self.entry(embedding=at_cosine(0.9)))
        assert await backend.delete("a") is True
        assert await backend.delete("a") is False
        assert await backend.get("a") is None
        near = await backend.find_similar(X, 0.5)
        assert near is not None
        assert near[0] == "b"
        assert await backend.delete_many(["a", "b", "c"]) == 1
        assert (await backend.get_stats())["size"] == 0

    @with_backend
    async def test_clear_by_namespace(self, backend: StorageBackend) -> None:
        for number in range(12):
            await backend.set(f"k{number}", self.entry(embedding=X, namespace="ab"[number % 2]))
        assert await backend.clear("a") == 6
        assert await backend.clear("a") == 0
        assert sorted(key for key, _ in await backend.iterate()) == sorted(f"k{n}" for n in range(1, 12, 2))
        assert await backend.find_similar(X, 0.5, "a") is None
        assert await backend.clear() == 6
        assert await backend.iterate() == []
        assert await backend.find_similar(X, 0.5) is None

    @with_backend
    async def test_many_at_once(self, backend: StorageBackend) -> None:
        items = [(f"k{n}", self.entry(response=n)) for n in range(1100)]
        assert await backend.set_many(items) == 1100
        keys = [f"k{n}" for n in range(1099, -2, -1)]
        found = await backend.get_many(keys)
        assert [None if e is None else e.response for e in found] == [*range(1099, -1, -1), None]
        assert await backend.get_many(["k1", "k1"]) == [items[1][1], items[1][1]]
        assert await backend.delete_many(f"k{n}" for n in range(1000)) == 1000
        assert (await backend.get_stats())["size"] == 100
        assert await backend.get_many([]) == []
        assert await backend.set_many([]) == 0

    @with_backend
    async def test_iterate_is_oldest_first_and_scan_sees_all_once(self, backend: StorageBackend) -> None:
        for number in range(25):
            when = self.clock.now + (number * 7) % 25
            namespace = "even" if number % 2 == 0 else "odd"
            await backend.set(f"k{number}", self.entry(created_at=when, namespace=namespace))
        times = [entry.created_at for _, entry in await backend.iterate()]
        assert times == sorted(times)
        assert len(times) == 25
        assert len(await backend.iterate("even")) == 13
        seen = []
        async for key, _ in backend.scan(4):
            seen.append(key)
            if len(seen) == 5:  # writes and deletes during the iteration cause no error and no duplicates
                namespace = "even" if int(seen[0][1:]) % 2 == 0 else "odd"
                await backend.set(seen[0], self.entry("again", namespace=namespace))
                await backend.delete("k24")
        assert len(seen) == len(set(seen))
        assert set(seen) >= {f"k{n}" for n in range(24)}
        odd = [key async for key, _ in backend.scan(3, "odd")]
        assert sorted(odd) == sorted(f"k{n}" for n in range(1, 25, 2))

    @with_backend
    async def test_long_prompts_and_odd_keys(self, backend: StorageBackend) -> None:
        prompt = "「質問」\r\n\t'--%_\\ é \U0001f9ea " * 150
        for key in ("", "a b", "k'\"%_\\", "ключ", "k" * 2000, "K", "k"):
            await backend.set(key, self.entry(prompt, response=f"answer to {key}"))
        for key in ("", "a b", "k'\"%_\\", "ключ", "k" * 2000, "K", "k"):
            found = await backend.get(key)
            assert found is not None
            assert (found.prompt, found.response) == (prompt, f"answer to {key}")


class Expiry(Suite):
    """Check that an entry lives until it expires and no longer."""

    @with_backend
    async def test_an_entry_lives_until_its_time_and_no_longer(self, backend: StorageBackend) -> None:
        await backend.set("short", self.entry(ttl=10, embedding=X))
        await backend.set("ever", self.entry(ttl=None, embedding=at_cosine(0.8)))
        self.clock.now += 9.5
        await backend.get("short")  # a read does not extend its life
        assert await backend.get("short") is not None
        self.clock.now += 0.5
        assert await backend.get("short") is None
        assert await backend.get_many(["short", "ever"]) == [None, await backend.get("ever")]
        assert [key for key, _ in await backend.iterate()] == ["ever"]
        assert [key async for key, _ in backend.scan()] == ["ever"]
        assert (await backend.get_stats())["size"] == 1
        assert await backend.delete("short") is False
        self.clock.now += 1e9
        assert await backend.get("ever") is not None

    @with_backend
    async def test_time_counts_from_created_at(self, backend: StorageBackend) -> None:
        await backend.set("old", self.entry(created_at=self.clock.now - 100, ttl=60, embedding=X))
        assert await backend.get("old") is None
        assert await backend.find_similar(X, 0.5) is None
        assert await backend.clear() == 0

    @with_backend
    async def test_an_expired_entry_hides_no_live_one(self, backend: StorageBackend) -> None:
        for number in range(40):
            await backend.set(f"expired{number}", self.entry(ttl=5, embedding=at_cosine(0.99 + number * 1e-4)))
        for number in range(3):
            await backend.set(f"live{number}", self.entry(ttl=500, embedding=at_cosine(0.95 - number * 0.01)))
        first = await backend.find_similar(X, 0.9)
        assert first is not None
        assert first[0] == "expired39"
        self.clock.now += 5
        found = await backend.find_candidates(X, 0.9, k=2)
        assert [candidate.key for candidate in found][:1] == ["live0"]
        near = await backend.find_similar(X, 0.9)
        assert near is not None
        assert near[0] == "live0"

    @with_backend
    async def test_a_clock_set_back_breaks_nothing(self, backend: StorageBackend) -> None:
        await backend.set("k", self.entry(ttl=10, embedding=X))
        self.clock.now -= 1e6
        assert await backend.get("k") is not None
        await backend.set("k", self.entry(response="new", ttl=10, embedding=X))
        near = await backend.find_similar(X, 0.5)
        assert near is not None
        assert near[1].response == "new"
