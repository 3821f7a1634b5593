"""Backends against a dict: any sequence of operations, a moving clock, eviction, a second process's view."""

import asyncio
import shutil
import tempfile

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.backends.memory import records as _memory_records
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.testing import Clock
from semantic_llm_cache.values.encoding import same

KEYS = st.sampled_from([f"k{n}" for n in range(9)])
VECTORS = np.random.default_rng(3).normal(size=(12, 4))
PLACES = st.tuples(st.sampled_from("nm"), st.sampled_from("st"), st.sampled_from("ef"))
VALUES = st.one_of(
    st.none(), st.text(max_size=5), st.integers(), st.lists(st.integers(), max_size=3), st.binary(max_size=3)
)


def cosine(a, b):
    return max(0.0, float(a @ b / np.sqrt((a @ a) * (b @ b))))


class Machine(RuleBasedStateMachine):
    max_size = None

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.mkdtemp()
        self.clock = Clock()
        self.views = self.make()
        self.model = {}
        self.hits = {}  # by key, since the entry was set
        self.recent = []  # keys by use, the latest last

    def teardown(self):
        for view in self.views:
            self.loop.run_until_complete(view.close())
        self.loop.close()
        shutil.rmtree(self.folder)

    def do(self, coroutine):
        self.clock.now += 0.001
        return self.loop.run_until_complete(coroutine)

    def live(self):
        return {key: entry for key, entry in self.model.items() if not entry.is_expired(self.clock.now)}

    def used(self, key):
        if key in self.recent:
            self.recent.remove(key)
        self.recent.append(key)

    def forget_the_evicted(self, view):
        """With a bound: who may be gone is checked to be one of the longest unused, then forgotten."""
        if self.max_size is None:
            return
        kept = {key for key, _ in self.loop.run_until_complete(view.iterate())}
        safe = set(self.recent[-self.max_size :])
        for key in set(self.live()) - kept:
            assert key not in safe, f"{key} was used lately and is gone"
            del self.model[key]
        assert len(kept) <= self.max_size

    views_index = st.integers(0, 1)

    @rule(
        view=views_index,
        key=KEYS,
        value=VALUES,
        vector=st.one_of(st.none(), st.integers(0, 11)),
        ttl=st.sampled_from([None, 5.0, 50.0]),
        place=PLACES,
        tags=st.sampled_from([(), ("x",), ("x", "y")]),
    )
    def set(self, view, key, value, vector, ttl, place, tags):
        namespace, scope, embedder = place
        self.clock.now += 0.001
        entry = CacheEntry(
            f"Prompt of {key}",
            value,
            None if vector is None else VECTORS[vector],
            created_at=self.clock.now,
            ttl=ttl,
            namespace=namespace,
            scope=scope,
            embedder=embedder,
            tags=tags,
        )
        view = self.views[view % len(self.views)]
        self.do(view.set(key, entry))
        self.model[key] = entry
        self.hits.pop(key, None)
        self.used(key)
        self.forget_the_evicted(view)

    @rule(view=views_index, key=KEYS)
    def get(self, view, key):
        found = self.do(self.views[view % len(self.views)].get(key))
        expected = self.live().get(key)
        if expected is None:
            assert found is None
            return
        assert found is not None
        self.used(key)
        assert same(found.response, expected.response)
        assert (found.prompt, found.ttl, found.tags) == (expected.prompt, expected.ttl, expected.tags)
        if expected.embedding is None:
            assert found.embedding is None
        else:
            assert cosine(found.embedding.astype(float), expected.embedding) > 1 - 1e-6

    @rule(view=views_index, key=KEYS)
    def delete(self, view, key):
        self.clock.now += 0.001
        expected = key in self.live()
        assert self.do(self.views[view % len(self.views)].delete(key)) is expected
        self.model.pop(key, None)

    @rule(view=views_index, key=KEYS, count=st.integers(1, 3))
    def record_hits(self, view, key, count):
        view = self.views[view % len(self.views)]
        self.do(view.record_hits({key: count}, self.clock.now))
        if key in self.live():
            self.hits[key] = self.hits.get(key, 0) + count
            if not view.in_process:  # there the order of use is kept with the counts
                self.used(key)

    @rule(key=KEYS)
    def hit(self, key):
        """What the engine does with an exact hit in memory."""
        view = self.views[0]
        if not view.in_process:
            return
        stored = view.peek(key)
        assert stored is not None or key not in self.live()
        if stored is not None and key in self.live():
            stored.hit_count += 1
            stored.last_accessed = self.clock.now
            self.used(key)
            self.hits[key] = self.hits.get(key, 0) + 1

    @rule(view=views_index, namespace=st.sampled_from([None, "n", "m"]))
    def clear(self, view, namespace):
        self.clock.now += 0.001
        gone = [key for key, entry in self.live().items() if namespace in (None, entry.namespace)]
        assert self.do(self.views[view % len(self.views)].clear(namespace)) == len(gone)
        for key in gone:
            del self.model[key]

    @rule(view=views_index, tag=st.sampled_from("xyz"), pattern=st.sampled_from([None, "OF K1", "of k"]))
    def invalidate(self, view, tag, pattern):
        self.clock.now += 0.001
        gone = [
            key
            for key, entry in self.live().items()
            if tag in entry.tags and (pattern is None or pattern.lower() in entry.prompt.lower())
        ]
        done = self.do(self.views[view % len(self.views)].invalidate(pattern, tags=[tag]))
        assert done == len(gone)
        for key in gone:
            del self.model[key]

    @rule(seconds=st.sampled_from([1.0, 5.0, 46.0]))
    def time_passes(self, seconds):
        self.clock.now += seconds

    @rule(view=views_index)
    def close(self, view):
        self.do(self.views[view % len(self.views)].close())

    @rule(view=views_index)
    def housekeeping(self, view):
        writer = getattr(self.views[view % len(self.views)], "_writer", None)
        if writer is not None:
            writer._next_look = 0.0

    @rule(
        view=views_index,
        number=st.integers(0, 11),
        k=st.integers(1, 5),
        threshold=st.sampled_from([0.0, 0.4, 0.9, 1.0]),
        limits=st.tuples(st.sampled_from([None, "n"]), st.sampled_from([None, "s"]), st.sampled_from([None, "e"])),
    )
    def find(self, view, number, k, threshold, limits):
        self.clock.now += 0.001
        names = dict(zip(("namespace", "scope", "embedder"), limits, strict=True))
        query = VECTORS[number]
        expected = {
            key: cosine(entry.embedding, query)
            for key, entry in self.live().items()
            if entry.embedding is not None and all(want in (None, getattr(entry, name)) for name, want in names.items())
        }
        best = sorted((s for s in expected.values() if s >= threshold - 1e-6), reverse=True)[:k]
        self.clock.now -= 0.001  # `do` moves it on again
        view = self.views[view % len(self.views)]
        found = self.do(view.find_candidates(query, threshold, k=k, **names))
        np.testing.assert_allclose([c.similarity for c in found], best, atol=2e-6)
        for candidate in found:
            assert abs(expected[candidate.key] - candidate.similarity) < 2e-6
            assert same(candidate.entry.response, self.model[candidate.key].response)
        if isinstance(view, MemoryBackend):
            for candidate in found:
                self.used(candidate.key)
        elif found:
            self.used(found[0].key)

    @invariant()
    def the_same_entries(self):
        for view in self.views:
            items = self.loop.run_until_complete(view.iterate())
            assert {key for key, _ in items} == set(self.live())
            assert [e.created_at for _, e in items] == sorted(e.created_at for _, e in items)
            if view.in_process:
                assert [e.hit_count for _, e in items] == [self.hits.get(key, 0) for key, _ in items]
            assert self.loop.run_until_complete(view.get_stats())["size"] == len(items)


class Memory(Machine):
    def make(self):
        return [MemoryBackend(self.max_size, clock=self.clock)]


class BoundedMemory(Memory):
    max_size = 4


class PackedMemory(Memory):
    """With so few entries kept as objects that most are packed."""

    hot = 2

    def make(self):
        self.usual, _memory_records._HOT = _memory_records._HOT, self.hot
        return super().make()

    def teardown(self):
        _memory_records._HOT = self.usual
        super().teardown()


class PackedBoundedMemory(PackedMemory):
    max_size = 4


class CostMemory(PackedMemory):
    """Who is evicted is a matter of chance; that too many never stay is not."""

    max_size = 4

    def make(self):
        views = super().make()
        return [MemoryBackend(view.max_size, eviction="cost", clock=self.clock) for view in views]

    def forget_the_evicted(self, view):
        kept = {key for key, _ in self.loop.run_until_complete(view.iterate())}
        assert len(kept) >= min(len(self.live()), self.max_size)
        for key in set(self.live()) - kept:
            assert key != self.recent[-1], f"{key} was set just now"
            del self.model[key]


class SQLiteTwice(Machine):
    """Two instances on one file stand for two processes."""

    def make(self):
        return [SQLiteBackend(f"{self.folder}/cache.db", clock=self.clock) for _ in range(2)]


class BoundedSQLite(Machine):
    max_size = 4

    def make(self):
        return [SQLiteBackend(f"{self.folder}/cache.db", clock=self.clock, max_size=self.max_size)]


for machine, examples in (
    (Memory, 25),
    (BoundedMemory, 25),
    (PackedMemory, 25),
    (PackedBoundedMemory, 25),
    (CostMemory, 25),
    (SQLiteTwice, 12),
    (BoundedSQLite, 12),
):
    machine.TestCase.settings = settings(max_examples=examples, stateful_step_count=25, deadline=None)

TestMemory = Memory.TestCase
TestBoundedMemory = BoundedMemory.TestCase
TestPackedMemory = PackedMemory.TestCase
TestPackedBoundedMemory = PackedBoundedMemory.TestCase
TestCostMemory = CostMemory.TestCase
TestSQLiteTwice = SQLiteTwice.TestCase
TestBoundedSQLite = BoundedSQLite.TestCase
