"""A text that was embedded once is not embedded again: not by another process, and not after its entry expired."""

import asyncio

import numpy as np
import pytest
from engine_helpers import Clock, background_work_ended
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_llm_cache import CacheContext, Request, SemanticCache, clear_cache
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.engine.state import state_of
from semantic_llm_cache.exceptions import CacheBackendError
from semantic_llm_cache.similarity import EmbeddingProvider
from semantic_llm_cache.storage.records import Text

ASKED, STORED = "how do I reset my password?", "How do I reset my password?"


class Letters(EmbeddingProvider):
    """Counts letters, and the texts that it was asked for. Each stands for the model of one process."""

    def __init__(self, name="letters"):
        self.fingerprint = name
        self.asked = []

    fingerprint = ""

    def encode_batch(self, texts):
        self.asked += texts
        rows = np.array([[t.lower().count(c) for c in "abcdefghijklmnopqrstuvwxyz"] for t in texts], dtype=np.float32)
        rows += 1e-3
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class Process:
    """A cache as another process would have it on the same file."""

    def __init__(self, path, clock=None, model="letters", **options):
        self.embedder = Letters(model)
        self.backend = SQLiteBackend(path, front_size=0)
        self.cache = SemanticCache(
            self.backend, embedder=self.embedder, similarity=0.95, clock=clock or Clock(), **options
        )

    async def ask(self, text, namespace="n", scope=None):
        found = await self.cache.lookup(Request(namespace, scope, text))
        return found.outcome

    async def call(self, text, answer="answer", scope=None):
        async def function():
            return answer

        return await self.cache.get_or_call(Request("n", scope, text), function)

    async def flush(self):
        await state_of(self.backend).flush()

    async def close(self):
        await self.flush()
        await self.backend.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache.db"


async def test_another_process_does_not_embed_a_known_text(path):
    one, other = Process(path), Process(path)
    await one.call(STORED)
    assert await one.ask(ASKED) == "near"
    assert one.embedder.asked == [STORED, ASKED]
    await one.flush()
    assert await other.ask(ASKED) == "near"
    assert await other.ask(ASKED) == "near"
    assert other.embedder.asked == []
    assert await other.ask(ASKED, scope={"tenant": 2}) == "miss"
    await one.close()
    await other.close()


async def test_vectors_of_another_scope_or_model_are_not_used(path):
    one, other = Process(path), Process(path, model="other letters")
    await one.call(STORED)
    await one.ask(ASKED)
    await one.flush()
    assert await other.ask(ASKED) == "miss"  # its own vector is of no use here
    third, fourth = Process(path), Process(path)
    assert await third.ask(ASKED, namespace="m") == "miss"
    assert await fourth.ask(ASKED, scope={"tenant": 2}) == "miss"
    for process in (other, third, fourth):
        assert process.embedder.asked == [ASKED]
    for process in (one, other, third, fourth):
        await process.close()


async def test_a_call_that_may_not_store_shares_no_vector(path):
    one, other = Process(path), Process(path)
    await one.call(STORED)
    with CacheContext(cache_control="no-store"):
        assert await one.ask(ASKED) == "near"
    await one.flush()
    assert await other.ask(ASKED) == "near"
    assert other.embedder.asked == [ASKED]
    await one.close()
    await other.close()


async def test_nothing_is_kept_with_vector_seconds_0(path):
    one, other = Process(path), Process(path)
    one.backend.vector_seconds = 0
    await one.call(STORED)
    await one.ask(ASKED)
    await one.flush()
    assert await other.ask(ASKED) == "near"
    assert other.embedder.asked == [ASKED]
    await one.close()
    await other.close()


async def test_clear_cache_drops_vectors_written_and_waiting(path):
    one, other = Process(path), Process(path)
    await one.ask("written")
    await one.flush()
    await one.ask("waiting")
    await clear_cache(backend=one.backend)
    await one.flush()
    for text in ("written", "waiting"):
        assert await other.ask(text) == "miss"
    assert other.embedder.asked == ["written", "waiting"]
    await one.close()
    await other.close()


async def test_vectors_are_kept_for_their_time_and_go_then(path):
    clock = Clock()
    one, other = Process(path, clock), Process(path, clock)
    one.backend.vector_seconds = 60
    await one.ask(ASKED)
    await one.flush()
    clock.now += 60
    assert await other.ask(ASKED) == "miss"
    assert other.embedder.asked == [ASKED]
    await one.close()
    await other.close()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_request_that_comes_again_after_its_entry_expired_uses_its_vector(path, kind):
    clock = Clock()
    backend = MemoryBackend() if kind == "memory" else SQLiteBackend(path)
    backend.vector_seconds = 0  # so that it can only come from the entry
    calls = []

    async def answer():
        calls.append(1)
        return "answer"

    first, second = Letters(), Letters()
    for embedder in (first, second):
        cache = SemanticCache(backend, embedder=embedder, similarity=0.95, clock=clock, ttl=60)
        await cache.get_or_call(Request("n", None, STORED), answer)
        # It cleans up once a second, for the first time now.
        while kind == "sqlite" and not backend._writer._next_look:  # noqa: ASYNC110 - the thread has no event for it
            await asyncio.sleep(0.001)
        clock.now += 60
    assert (first.asked, second.asked, len(calls)) == ([STORED], [], 2)
    clock.now -= 60
    assert (await cache.lookup(Request("n", None, ASKED))).outcome == "near"  # it was stored with its vector
    await backend.close()


async def test_a_stale_answer_is_refreshed_with_its_own_vector(path):
    clock = Clock()
    one = Process(path, clock, ttl=60)
    await one.call(STORED)
    other = Process(path, clock, ttl=60, stale_while_revalidate=600)
    other.backend.vector_seconds = 0
    await other.call("first", "old")
    other.embedder.asked.clear()
    other.cache.need_embedder().clear_cache()
    clock.now += 70
    assert await other.call("first", "new") == "old"
    await background_work_ended()
    for _ in range(200):
        if await other.call("first", "newer") == "new":
            break
    else:
        raise AssertionError("it was not refreshed")
    assert other.embedder.asked == []
    await one.close()
    await other.close()


async def test_a_storage_that_fails_to_recall_costs_only_the_saving(path):
    one = Process(path)

    async def fail(key, text):
        raise CacheBackendError("no")

    one.backend.recall = fail
    assert await one.call(STORED) == "answer"
    await one.close()


async def test_a_damaged_vector_counts_as_none(path):
    one, other = Process(path), Process(path)
    await one.ask(ASKED)
    await one.flush()

    async def recall(key, text):
        return None, np.full(26, np.nan, dtype=np.float32)

    other.backend.recall = recall
    assert await other.ask(ASKED) == "miss"
    assert other.embedder.asked == [ASKED]
    await one.close()
    await other.close()


_PARTS = st.tuples(*[st.text(alphabet="ab:1\x00\ud800", max_size=4)] * 4)


@settings(max_examples=200, deadline=None)
@given(_PARTS, _PARTS)
def test_texts_that_differ_in_any_part_have_different_digests(one, other):
    assert (Text(*one).digest == Text(*other).digest) is (one == other)
