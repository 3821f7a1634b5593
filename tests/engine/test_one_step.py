"""A text that was answered by meaning before is looked up by key and by vector in one trip to the storage."""

import asyncio

import numpy as np
import pytest
from engine_helpers import Clock

from semantic_llm_cache import Request, SemanticCache
from semantic_llm_cache.backends import SQLiteBackend
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.similarity import EmbeddingProvider

STORED, ASKED = "How do I reset my password?", "How can I reset my password?"


class Letters(EmbeddingProvider):
    fingerprint = "letters"

    def encode_batch(self, texts):
        rows = np.array([[t.lower().count(c) for c in "abcdefghijklmnopqrstuvwxyz"] for t in texts], dtype=np.float32)
        rows += 1e-3
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class Counted:
    """A cache on SQLite, and how many jobs its threads that read and search have had."""

    def __init__(self, path, kind=SQLiteBackend, clock=None, **options):
        self.backend = kind(path, front_size=0)
        self.cache = SemanticCache(self.backend, embedder=Letters(), similarity=0.9, clock=clock or Clock(), **options)
        self.jobs = 0
        for worker in (self.backend._reading, self.backend._searching):
            worker.run = self._counting(worker.run)

    def _counting(self, run):
        def counted(function, *args):
            self.jobs += 1
            return run(function, *args)

        return counted

    async def ask(self, text, scope=None):
        """Return the outcome, and how many jobs it took."""
        before = self.jobs
        found = await self.cache.lookup(Request("n", scope, text))
        return found.outcome, self.jobs - before

    async def call(self, text, answer="answer", scope=None):
        async def function():
            return answer

        return await self.cache.get_or_call(Request("n", scope, text), function)


@pytest.fixture
async def counted(tmp_path):
    made = Counted(tmp_path / "cache.db")
    yield made
    await made.backend.close()


async def test_the_second_near_hit_of_a_text_takes_one_job(counted):
    await counted.call(STORED)
    assert await counted.ask(ASKED) == ("near", 2)
    assert await counted.ask(ASKED) == ("near", 1)
    assert await counted.ask(STORED) == ("exact", 1)


async def test_an_exact_entry_stored_since_is_found_and_then_expected(counted):
    await counted.call(STORED)
    await counted.ask(ASKED)
    key = Request("n", None, ASKED).key
    await counted.backend.set(key, CacheEntry(ASKED, "its own", ttl=60.0, created_at=counted.cache.clock()))
    assert (await counted.ask(ASKED))[0] == "exact"
    assert await counted.call(ASKED) == "its own"


async def test_what_was_found_by_meaning_may_be_gone(counted):
    await counted.call(STORED)
    await counted.ask(ASKED)
    await counted.backend.clear()
    assert (await counted.ask(ASKED))[0] == "miss"
    assert await counted.call(ASKED, "fresh") == "fresh"
    assert (await counted.ask(ASKED))[0] == "exact"


async def test_an_entry_that_has_expired_is_not_served(tmp_path):
    clock = Clock()
    counted = Counted(tmp_path / "cache.db", clock=clock, ttl=10)
    await counted.call(STORED)
    assert (await counted.ask(ASKED))[0] == "near"
    clock.now += 11
    assert (await counted.ask(ASKED))[0] == "miss"
    await counted.backend.close()


async def test_another_scope_sees_nothing_of_it(counted):
    await counted.call(STORED, scope={"tenant": 1})
    assert (await counted.ask(ASKED, {"tenant": 1}))[0] == "near"
    assert (await counted.ask(ASKED, {"tenant": 1})) == ("near", 1)
    assert (await counted.ask(ASKED, {"tenant": 2}))[0] == "miss"


async def test_a_guard_still_decides(tmp_path):
    refusing = []
    counted = Counted(tmp_path / "cache.db", guards=[lambda new, old: "no more" if refusing else None])
    await counted.call(STORED)
    assert (await counted.ask(ASKED))[0] == "near"
    refusing.append(True)
    assert (await counted.ask(ASKED))[0] == "miss"
    await counted.backend.close()


async def test_a_farther_entry_answers_where_the_nearest_is_refused(tmp_path):
    refused = []
    counted = Counted(tmp_path / "cache.db", guards=[lambda new, old: "no" if old in refused else None])
    await counted.call(STORED, "nearest")
    await counted.cache.store(Request("n", None, "How do I reset my passwords, all of them?"), "farther")
    found_before = (await counted.cache.lookup(Request("n", None, ASKED))).response
    refused.append(STORED)
    assert found_before == "nearest"
    found = await counted.cache.lookup(Request("n", None, ASKED))
    assert (found.outcome, found.response) == ("near", "farther")
    await counted.backend.close()


async def test_a_subclass_that_looks_in_its_own_way_is_asked_in_its_own_way(tmp_path):
    class Own(SQLiteBackend):
        keys = 0

        async def get(self, key):
            self.keys += 1
            return await super().get(key)

    counted = Counted(tmp_path / "cache.db", Own)
    await counted.call(STORED)
    for _ in range(3):
        assert (await counted.ask(ASKED))[0] == "near"
    assert counted.backend.keys == 2  # the first goes by `recall`, as the vector is not known yet
    await counted.backend.close()


async def test_a_class_mixed_in_that_looks_in_its_own_way_is_asked_too(tmp_path):
    class Counting:
        keys = 0

        async def get(self, key):
            self.keys += 1
            return await super().get(key)

    class Own(Counting, SQLiteBackend):
        pass

    class Further(Own):
        pass

    counted = Counted(tmp_path / "cache.db", Further)
    await counted.call(STORED)
    for _ in range(3):
        assert (await counted.ask(ASKED))[0] == "near"
    assert counted.backend.keys == 2  # the first is a `recall`, as the vector is not known yet
    await counted.backend.close()


async def test_a_subclass_that_looks_as_the_backend_does_takes_one_step_too(tmp_path):
    class Own(SQLiteBackend):
        async def set(self, key, entry):
            await super().set(key, entry)

    counted = Counted(tmp_path / "cache.db", Own)
    await counted.call(STORED)
    assert await counted.ask(ASKED) == ("near", 2)
    assert await counted.ask(ASKED) == ("near", 1)
    await counted.backend.close()


async def test_a_slow_step_costs_the_saving_alone(tmp_path):
    counted = Counted(tmp_path / "cache.db", timeout=0.2)
    await counted.call(STORED)
    assert await counted.ask(ASKED) == ("near", 2)
    worker = counted.backend._searching
    run = worker.run
    worker.run = lambda *job: asyncio.sleep(5)
    for _ in range(4):  # from the fourth on the breaker is open, and the search by key is a step of its own again
        assert (await counted.ask(ASKED))[0] == "error"
        assert await counted.call(ASKED, "fresh") == "fresh"
        await counted.backend.delete(Request("n", None, ASKED).key)
    worker.run = run
    assert await counted.call(STORED) == "answer"
    await counted.backend.close()


async def test_cancelled_callers_leave_nothing_behind(counted):
    await counted.call(STORED)
    await counted.ask(ASKED)
    tasks = [asyncio.ensure_future(counted.call(ASKED)) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(done[0], asyncio.CancelledError)
    assert done[1:] == ["answer", "answer"]
    assert await counted.ask(ASKED) == ("near", 1)


async def test_figures_agree_with_what_callers_met(counted):
    await counted.call(STORED)
    for _ in range(4):
        await counted.ask(ASKED)
    stats = await counted.backend.get_stats()
    assert (stats["hits"], stats["misses"]) == (4, 1)
