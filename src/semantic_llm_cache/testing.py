"""`BackendConformance`: the contract of `StorageBackend` as tests, for any backend.

Subclass it in a test module and say how a backend is made; pytest (or `unittest`, for the methods need
neither fixtures nor plugins) runs the rest:

    class TestMine(BackendConformance):
        def make_backend(self, clock):
            return MyBackend("127.0.0.1:7000", clock=clock)

Each test starts with an empty backend from `make_backend`, so that hook must remove what an earlier
test left. A backend that keeps nothing beyond the seven abstract methods sets `keeps_counters` and
`keeps_hits` to False.
"""

# ruff: noqa: D102 - the name of a test says what it is about

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import math
import threading
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from decimal import Decimal
from typing import Any, ClassVar

import numpy as np

from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.serialization import same
from semantic_llm_cache.storage import StorageBackend

__all__ = ["BackendConformance", "Clock"]


class Clock:
    """A clock that stands until told otherwise.

    Example:
        >>> clock = Clock(1000.0)
        >>> clock.now += 60
        >>> clock()
        1060.0
    """

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


def _with_backend(test: Callable[[Any, Any], Coroutine[Any, Any, None]]) -> Callable[[Any], None]:
    """Make a coroutine test a plain one: in a loop of its own, with an open backend."""

    @functools.wraps(test)
    def run(self: BackendConformance) -> None:
        async def main() -> None:
            backend = self._make()
            try:
                await test(self, backend)
            finally:
                await backend.close()

        asyncio.run(main())

    del run.__dict__["__wrapped__"]  # else pytest looks for a fixture named `backend`
    return run


def _vector(*values: float) -> list[float]:
    return [*values, *[0.0] * (8 - len(values))]


def _near(cosine: float) -> list[float]:
    """A vector at `cosine` to `_vector(1.0)`."""
    return _vector(cosine, math.sqrt(1.0 - cosine * cosine))


_X = _vector(1.0)

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


class BackendConformance:
    """The rules that every backend keeps. See the module's text."""

    keeps_counters: ClassVar[bool] = True
    keeps_hits: ClassVar[bool] = True

    clock: Clock

    def make_backend(self, clock: Clock) -> StorageBackend:
        """Return a new, empty backend that reads the time from `clock`."""
        raise NotImplementedError

    def _make(self) -> StorageBackend:
        self.clock = Clock()
        return self.make_backend(self.clock)

    def entry(self, prompt: str = "What is Python?", response: Any = "A language.", **fields: Any) -> CacheEntry:
        """Return an entry that was made just now."""
        fields.setdefault("created_at", self.clock.now)
        return CacheEntry(prompt, response, **fields)

    # ------------------------------------------------------------------------------ by key

    @_with_backend
    async def test_a_key_that_was_never_set_is_a_miss(self, backend: StorageBackend) -> None:
        assert await backend.get("nothing") is None
        assert await backend.delete("nothing") is False
        assert await backend.iterate() == []
        assert await backend.find_similar(_X, 0.0) is None
        assert await backend.clear() == 0
        stats = await backend.get_stats()
        assert stats["size"] == 0
        assert stats["misses"] >= 1

    @_with_backend
    async def test_every_field_comes_back(self, backend: StorageBackend) -> None:
        entry = CacheEntry(
            prompt="Wie heißt 東京?",
            response={"answer": ["Tōkyō"]},
            embedding=np.array(_near(0.25), dtype=np.float32),
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

    @_with_backend
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

    @_with_backend
    async def test_what_cannot_be_stored_is_refused_and_harms_nothing(self, backend: StorageBackend) -> None:
        await backend.set("k", self.entry(response="good"))
        await _raises(CacheSerializationError, backend.set("k", self.entry(response=object())))
        await _raises(CacheSerializationError, backend.set("k", self.entry(response=[lambda: 1])))
        found = await backend.get("k")
        assert found is not None
        assert found.response == "good"

    @_with_backend
    async def test_readers_get_private_copies(self, backend: StorageBackend) -> None:
        answer = {"list": [1, 2]}
        vector = np.array(_X, dtype=np.float32)
        await backend.set("k", self.entry(response=answer, embedding=vector, scope="s", tags=("t",)))
        answer["list"].append(3)
        vector[:] = 0.5
        for found in (
            await backend.get("k"),
            (await backend.iterate())[0][1],
            (await backend.get_many(["k"]))[0],
            (await backend.find_candidates(_X, 0.9))[0].entry,
        ):
            assert found is not None
            assert found.response == {"list": [1, 2]}
            np.testing.assert_allclose(found.embedding, _X, atol=1e-7)
            found.response["list"].clear()
            found.prompt = found.scope = "other"
            found.hit_count = 99
            found.embedding[:] = 7.0

    @_with_backend
    async def test_setting_again_replaces(self, backend: StorageBackend) -> None:
        await backend.set("k", self.entry(response=1, embedding=_X, ttl=5))
        await backend.set("k", self.entry("Other?", response=2, embedding=_vector(0.0, 1.0), namespace="n"))
        found = await backend.get("k")
        assert found is not None
        assert (found.prompt, found.response, found.ttl, found.namespace) == ("Other?", 2, None, "n")
        assert (await backend.get_stats())["size"] == 1
        assert await backend.find_similar(_X, 0.5) is None
        near = await backend.find_similar(_vector(0.0, 1.0), 0.5)
        assert near is not None
        assert near[:2] == ("k", found)
        assert await backend.iterate("default") == []
        await backend.set("k", self.entry(response=3))  # and now without a vector
        assert await backend.find_similar(_vector(0.0, 1.0), 0.5) is None

    @_with_backend
    async def test_delete(self, backend: StorageBackend) -> None:
        await backend.set("a", self.entry(embedding=_X))
        await backend.set("b", self.entry(embedding=_near(0.9)))
        assert await backend.delete("a") is True
        assert await backend.delete("a") is False
        assert await backend.get("a") is None
        near = await backend.find_similar(_X, 0.5)
        assert near is not None
        assert near[0] == "b"
        assert await backend.delete_many(["a", "b", "c"]) == 1
        assert (await backend.get_stats())["size"] == 0

    @_with_backend
    async def test_clear_by_namespace(self, backend: StorageBackend) -> None:
        for number in range(12):
            await backend.set(f"k{number}", self.entry(embedding=_X, namespace="ab"[number % 2]))
        assert await backend.clear("a") == 6
        assert await backend.clear("a") == 0
        assert sorted(key for key, _ in await backend.iterate()) == sorted(f"k{n}" for n in range(1, 12, 2))
        assert await backend.find_similar(_X, 0.5, "a") is None
        assert await backend.clear() == 6
        assert await backend.iterate() == []
        assert await backend.find_similar(_X, 0.5) is None

    @_with_backend
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

    @_with_backend
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
            if len(seen) == 5:  # written and deleted meanwhile: no harm, and nothing twice
                namespace = "even" if int(seen[0][1:]) % 2 == 0 else "odd"
                await backend.set(seen[0], self.entry("again", namespace=namespace))
                await backend.delete("k24")
        assert len(seen) == len(set(seen))
        assert set(seen) >= {f"k{n}" for n in range(24)}
        odd = [key async for key, _ in backend.scan(3, "odd")]
        assert sorted(odd) == sorted(f"k{n}" for n in range(1, 25, 2))

    @_with_backend
    async def test_long_prompts_and_odd_keys(self, backend: StorageBackend) -> None:
        prompt = "「質問」\r\n\t'--%_\\ é \U0001f9ea " * 150
        for key in ("", "a b", "k'\"%_\\", "ключ", "k" * 2000, "K", "k"):
            await backend.set(key, self.entry(prompt, response=f"answer to {key}"))
        for key in ("", "a b", "k'\"%_\\", "ключ", "k" * 2000, "K", "k"):
            found = await backend.get(key)
            assert found is not None
            assert (found.prompt, found.response) == (prompt, f"answer to {key}")

    # ---------------------------------------------------------------------------- expiry

    @_with_backend
    async def test_an_entry_lives_until_its_time_and_no_longer(self, backend: StorageBackend) -> None:
        await backend.set("short", self.entry(ttl=10, embedding=_X))
        await backend.set("ever", self.entry(ttl=None, embedding=_near(0.8)))
        self.clock.now += 9.5
        await backend.get("short")  # a read does not prolong
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

    @_with_backend
    async def test_time_counts_from_created_at(self, backend: StorageBackend) -> None:
        await backend.set("old", self.entry(created_at=self.clock.now - 100, ttl=60, embedding=_X))
        assert await backend.get("old") is None
        assert await backend.find_similar(_X, 0.5) is None
        assert await backend.clear() == 0

    @_with_backend
    async def test_an_expired_entry_hides_no_live_one(self, backend: StorageBackend) -> None:
        for number in range(40):
            await backend.set(f"expired{number}", self.entry(ttl=5, embedding=_near(0.99 + number * 1e-4)))
        for number in range(3):
            await backend.set(f"live{number}", self.entry(ttl=500, embedding=_near(0.95 - number * 0.01)))
        first = await backend.find_similar(_X, 0.9)
        assert first is not None
        assert first[0] == "expired39"
        self.clock.now += 5
        found = await backend.find_candidates(_X, 0.9, k=2)
        assert [candidate.key for candidate in found][:1] == ["live0"]
        near = await backend.find_similar(_X, 0.9)
        assert near is not None
        assert near[0] == "live0"

    @_with_backend
    async def test_a_clock_set_back_breaks_nothing(self, backend: StorageBackend) -> None:
        await backend.set("k", self.entry(ttl=10, embedding=_X))
        self.clock.now -= 1e6
        assert await backend.get("k") is not None
        await backend.set("k", self.entry(response="new", ttl=10, embedding=_X))
        near = await backend.find_similar(_X, 0.5)
        assert near is not None
        assert near[1].response == "new"

    # --------------------------------------------------------------------------- by vector

    @_with_backend
    async def test_similarity_is_cosine_and_vectors_need_no_length(self, backend: StorageBackend) -> None:
        await backend.set("k", self.entry(embedding=[30.0 * value for value in _near(0.6)]))
        near = await backend.find_similar([0.001 * value for value in _X], 0.5)
        assert near is not None
        assert near[0] == "k"
        assert abs(near[2] - 0.6) < 1e-6
        np.testing.assert_allclose(np.linalg.norm(near[1].embedding), 1.0, atol=1e-6)

    @_with_backend
    async def test_the_threshold_is_inclusive_within_a_millionth(self, backend: StorageBackend) -> None:
        await backend.set("k", self.entry(embedding=_near(0.8)))
        assert await backend.find_similar(_X, 0.8) is not None
        assert await backend.find_similar(_X, 0.8000005) is not None
        assert await backend.find_similar(_X, 0.80001) is None
        await backend.set("same", self.entry(embedding=_X))
        exact = await backend.find_similar(_X, 1.0)
        assert exact is not None
        assert exact[0] == "same"
        assert 1.0 - 1e-6 <= exact[2] <= 1.0

    @_with_backend
    async def test_a_negative_cosine_counts_as_zero(self, backend: StorageBackend) -> None:
        await backend.set("opposite", self.entry(embedding=_vector(-1.0)))
        found = await backend.find_similar(_X, 0.0)
        assert found is not None
        assert found[0] == "opposite"
        assert found[2] == 0.0
        assert await backend.find_similar(_X, 0.01) is None

    @_with_backend
    async def test_candidates_are_the_nearest_in_order(self, backend: StorageBackend) -> None:
        cosines = [0.91, 0.99, 0.2, 0.95, 0.93, 0.97, 0.5, -0.5]
        for number, cosine in enumerate(cosines):
            await backend.set(f"k{number}", self.entry(str(cosine), embedding=_near(cosine), embedder="e"))
        found = await backend.find_candidates(_X, 0.9, k=3, scope="", embedder="e")
        assert 1 <= len(found) <= 3
        assert [candidate.key for candidate in found] == ["k1", "k5", "k3"][: len(found)]
        for candidate in found:
            assert abs(candidate.similarity - float(candidate.entry.prompt)) < 1e-6
        assert await backend.find_candidates(_X, 0.995, k=3) == []

    @_with_backend
    async def test_scope_namespace_and_embedder_separate(self, backend: StorageBackend) -> None:
        for scope in ("s1", "s2"):
            for namespace in ("n1", "n2"):
                key = scope + namespace
                fields = {"scope": scope, "namespace": namespace, "embedder": "e-" + namespace}
                await backend.set(key, self.entry(key, embedding=_near(0.9), **fields))
        # The nearest of all, in another scope, hides nothing.
        await backend.set("nearest", self.entry(embedding=_X, scope="s3", namespace="n3", embedder="e3"))
        for scope in ("s1", "s2"):
            for namespace in ("n1", "n2"):
                one = await backend.find_similar(_X, 0.5, namespace, scope=scope)
                assert one is not None
                assert one[0] == scope + namespace
            either = await backend.find_similar(_X, 0.5, scope=scope)
            assert either is not None
            assert either[1].scope == scope
        of_all = await backend.find_similar(_X, 0.5)
        assert of_all is not None
        assert of_all[0] == "nearest"
        assert await backend.find_similar(_X, 0.5, "n1", scope="s3") is None
        assert await backend.find_similar(_X, 0.5, scope="") is None
        assert await backend.find_candidates(_X, 0.5, scope="s3", embedder="e-n1") == []
        found = await backend.find_candidates(_X, 0.5, scope="s3", namespace="n3", embedder="e3")
        assert [candidate.key for candidate in found] == ["nearest"]

    @_with_backend
    async def test_another_dimension_is_not_considered(self, backend: StorageBackend) -> None:
        await backend.set("eight", self.entry(embedding=_X))
        await backend.set("three", self.entry(embedding=[1.0, 0.0, 0.0]))
        await backend.set("none", self.entry())
        for query, key in ((_X, "eight"), ([1.0, 0.0, 0.0], "three")):
            found = await backend.find_similar(query, 0.0)
            assert found is not None
            assert found[0] == key
        assert await backend.find_similar([1.0, 0.0], 0.0) is None

    @_with_backend
    async def test_a_vector_without_direction_is_refused(self, backend: StorageBackend) -> None:
        await backend.set("k", self.entry(response="before", embedding=_X))
        useless: list[Any] = [[0.0] * 8, [math.nan] * 8, _vector(math.inf), [], [[1.0], [2.0]]]
        for bad in useless:
            await _raises(ValueError, backend.set("k", self.entry(embedding=bad)))
            await _raises(ValueError, backend.find_similar(bad, 0.5))
        found = await backend.find_similar(_X, 0.99)
        assert found is not None
        assert found[1].response == "before"

    # ---------------------------------------------------------------------------- the rest

    @_with_backend
    async def test_invalidate_takes_patterns_literally(self, backend: StorageBackend) -> None:
        prompts = ["100% sure?", "100 sure?", "a_b", "axb", "WEISS", "Straße nach Köln", "back\\slash", "[a-z]*"]
        for prompt in prompts:
            await backend.set(prompt, self.entry(prompt, namespace="n"))
        await backend.set("elsewhere", self.entry("100% sure?", namespace="m"))
        assert await backend.invalidate("0%", namespace="n") == 1
        assert await backend.invalidate("a_B") == 1
        assert await backend.invalidate("weiß") == 1
        assert await backend.invalidate("STRASSE") == 1
        assert await backend.invalidate("k\\s") == 1
        assert await backend.invalidate("[a-z]*") == 1
        assert await backend.invalidate("nowhere") == 0
        assert await backend.invalidate() == 0
        assert sorted(key for key, _ in await backend.iterate()) == ["100 sure?", "axb", "elsewhere"]
        assert await backend.invalidate("") == 3

    @_with_backend
    async def test_invalidate_by_tags(self, backend: StorageBackend) -> None:
        for key, tags in {"a": ("x", "y"), "b": ("y",), "c": ("xy",), "d": ()}.items():
            await backend.set(key, self.entry(f"prompt {key}", tags=tags, embedding=_X))
        assert await backend.invalidate(tags=["x", "z"]) == 1
        assert await backend.invalidate("nothing", tags=["y"]) == 0
        assert await backend.invalidate("PROMPT", tags=["y"]) == 1
        assert await backend.invalidate(tags=[]) == 0
        assert sorted(key for key, _ in await backend.iterate()) == ["c", "d"]

    @_with_backend
    async def test_hits_are_recorded(self, backend: StorageBackend) -> None:
        await backend.set("k", self.entry(embedding=_X, ttl=10))
        await backend.record_hits({"k": 2, "gone": 1}, self.clock.now + 1)
        await backend.record_hits({"k": 3}, self.clock.now + 2)
        await backend.record_hits({}, self.clock.now + 3)
        found = await backend.get("k")
        assert found is not None
        if self.keeps_hits:
            assert found.hit_count == 5
            assert found.last_accessed == self.clock.now + 2
        assert await backend.get("gone") is None
        self.clock.now += 10  # a hit does not prolong
        assert await backend.get("k") is None

    @_with_backend
    async def test_counters_and_state(self, backend: StorageBackend) -> None:
        await backend.add_counters("n", {"hits": 1, "saved_ms": 1.5})
        await backend.add_counters("n", {"hits": 2})
        await backend.add_counters("m", {"hits": 4})
        await backend.set_state("policy", b"\x00old")
        await backend.set_state("policy", b"\x00\xffnew")
        await backend.set_state("gone", b"1")
        await backend.set_state("gone", None)
        await backend.set_state("never", None)
        if self.keeps_counters:
            assert await backend.get_counters() == {"n": {"hits": 3, "saved_ms": 1.5}, "m": {"hits": 4}}
            assert await backend.get_state("policy") == b"\x00\xffnew"
        assert await backend.get_state("gone") is None
        assert await backend.get_state("never") is None

    @_with_backend
    async def test_stats_count(self, backend: StorageBackend) -> None:
        before = await backend.get_stats()
        await backend.set("k", self.entry(embedding=_X))
        await backend.get("k")
        await backend.get("other")
        await backend.find_similar(_X, 0.9)
        await backend.find_similar(_vector(0.0, 1.0), 0.9)
        after = await backend.get_stats()
        assert after["size"] == 1
        assert after["hits"] - before["hits"] == 2
        assert after["misses"] - before["misses"] == 2

    @_with_backend
    async def test_peek(self, backend: StorageBackend) -> None:
        if not backend.in_process:
            return
        assert backend.peek("k") is None
        await backend.set("k", self.entry(response={"a": 1}))
        stored = backend.peek("k")
        assert stored is not None
        assert stored.prompt == "What is Python?"
        await backend.delete("k")
        assert backend.peek("k") is None

    # ------------------------------------------------------------------- tasks, loops, threads

    @_with_backend
    async def test_many_tasks_at_once(self, backend: StorageBackend) -> None:
        async def work(number: int) -> None:
            key = f"k{number % 20}"
            await backend.set(key, self.entry(key, response=[key], embedding=_near(0.9), scope=key))
            found = await backend.get(key)
            assert found is not None
            assert found.response == [key]
            near = await backend.find_similar(_X, 0.5, scope=key)
            assert near is not None
            assert near[0] == near[1].prompt == key
            if number % 5 == 0:
                await backend.iterate()

        await asyncio.gather(*[work(number) for number in range(200)])
        assert (await backend.get_stats())["size"] == 20

    @_with_backend
    async def test_a_cancelled_wait_does_no_harm(self, backend: StorageBackend) -> None:
        tasks = [asyncio.ensure_future(backend.set(f"k{n}", self.entry(response=n))) for n in range(50)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(result is None or isinstance(result, asyncio.CancelledError) for result in done)
        for number, result in enumerate(done):
            if result is None:
                assert await backend.get(f"k{number}") is not None

    def test_successive_event_loops(self) -> None:
        """Work under one `asyncio.run` after the other, closed in between or not."""
        backend = self._make()
        entry = self.entry(embedding=_X)
        try:
            asyncio.run(backend.set("k", entry))
            assert asyncio.run(backend.get("k")) == entry
            assert asyncio.run(backend.find_similar(_X, 0.9)) is not None
        finally:
            asyncio.run(backend.close())

    def test_simultaneous_event_loops(self) -> None:
        """Serve two loops in two threads."""
        backend = self._make()
        problems: list[BaseException] = []

        async def work(name: str) -> None:
            for number in range(60):
                key = f"{name}{number}"
                await backend.set(key, self.entry(response=key, embedding=_X, scope=name))
                found = await backend.get(key)
                assert found is not None
                assert found.response == key
                near = await backend.find_similar(_X, 0.9, scope=name)
                assert near is not None
                assert near[1].response.startswith(name)

        def run(name: str) -> None:
            try:
                asyncio.run(work(name))
            except BaseException as problem:
                problems.append(problem)

        threads = [threading.Thread(target=run, args=(name,)) for name in ("a", "b")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        try:
            assert problems == []
            assert asyncio.run(backend.get_stats())["size"] == 120
        finally:
            asyncio.run(backend.close())

    @_with_backend
    async def test_closed_twice_and_used_again(self, backend: StorageBackend) -> None:
        await backend.set("k", self.entry(embedding=_X))
        await backend.close()
        await backend.close()
        assert await backend.get("k") is not None
        assert await backend.find_similar(_X, 0.9) is not None
        async with backend as same_one:
            assert same_one is backend
            await backend.set("k2", self.entry())
        assert await backend.get("k2") is not None

    def test_nothing_is_opened_or_awaited_to_be_made(self) -> None:
        """Make, name and drop a backend outside of any loop."""
        backend = self._make()
        assert isinstance(backend.url, str)
        assert backend.url
        asyncio.run(backend.close())


async def _raises(kind: type[Exception], awaitable: Awaitable[object]) -> None:
    try:
        await awaitable
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was not raised")
