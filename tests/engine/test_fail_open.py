"""Promise 2: trouble with storage or embedder costs the caller nothing but the saving."""

import asyncio
import logging
import threading

import numpy as np
import pytest
from engine_helpers import Clock, FaultyBackend, gathered, limited

from semantic_llm_cache import (
    CacheBackendError,
    EmbeddingUnavailableError,
    Request,
    SemanticCache,
    cache,
    get_stats,
    last_lookup,
)
from semantic_llm_cache.backends import MemoryBackend
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.engine.state import state_of
from semantic_llm_cache.exceptions import CacheKeyError, CacheWarning
from semantic_llm_cache.similarity import EmbeddingProvider
from semantic_llm_cache.storage import Candidate

LOG = "semantic_llm_cache"


class Letters(EmbeddingProvider):
    """Counts letters; troubled as the test sets it."""

    def __init__(self, trouble=None):
        self.trouble = trouble
        self.calls = 0
        self.loads = 0
        self.is_loaded = True

    fingerprint = "letters:26"

    def encode_batch(self, texts):
        self.calls += 1
        if isinstance(self.trouble, Exception):
            raise self.trouble
        if isinstance(self.trouble, threading.Event):
            self.trouble.wait(20)
        elif self.trouble is not None:
            return self.trouble
        rows = np.array([[text.count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts])
        rows = rows.astype(np.float32) + 0.001
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    @property
    def loaded(self):
        return self.is_loaded

    def load(self):
        self.loads += 1
        if isinstance(self.trouble, Exception):
            raise self.trouble
        self.is_loaded = True


def nonsense_get():
    return "nonsense"


def nonsense_entry():
    return CacheEntry(prompt=None, response=["?"], created_at="yesterday", ttl=7, scope="?", embedder=[])


def broken_candidates():
    return [("key", "entry", 2.0)]


FAULTS = {
    "raises": RuntimeError("disk on fire"),
    "raises a backend error": CacheBackendError("faulty:// is down"),
    "raises an os error": OSError(28, "No space left on device"),
    "hangs": "hang",
    "slow past the limit": 5.0,
    "nonsense": nonsense_get,
    "nonsense within an entry": nonsense_entry,
    "times out by itself": TimeoutError(),
}


def engine_on(backend, **options):
    return SemanticCache(backend, **{"timeout": 0.02, "embedder": Letters(), "guards": None, **options})


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("similarity", [1.0, 0.9], ids=["exact", "near"])
async def test_the_function_answers_whatever_the_storage_does(fault, similarity):
    engine = engine_on(FaultyBackend(fault), similarity=similarity)
    calls = []

    @engine.cache()
    async def ask(prompt: str) -> list:
        calls.append(prompt)
        return [prompt]

    @engine.cache()
    def plain(prompt: str) -> list:
        calls.append(prompt)
        return [prompt]

    assert await limited(ask("x")) == ["x"]
    assert last_lookup().outcome == "error"
    assert last_lookup().reason
    assert await limited(asyncio.to_thread(plain, "x")) == ["x"]
    assert await gathered([asyncio.create_task(ask("y")) for _ in range(5)]) == [["y"]] * 5
    assert calls == ["x", "x", "y"]
    info = ask.cache_info()
    assert info.errors == 2
    assert info.misses == 2


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_who_wants_to_know_is_told(fault):
    backend = FaultyBackend(fault, only=("get",))
    engine = engine_on(backend, on_error="raise")

    @engine.cache()
    async def ask(prompt: str):
        return prompt

    @engine.cache()
    def plain(prompt: str):
        return prompt

    with pytest.raises(CacheBackendError) as told:
        await limited(ask("x"))
    assert told.value.__cause__ is not None or told.value is fault
    with pytest.raises(CacheBackendError):
        await limited(asyncio.to_thread(plain, "x"))
    found = await gathered([asyncio.create_task(ask("y")) for _ in range(3)])
    assert {type(item) for item in found} == {CacheBackendError}
    backend.fault = None
    state_of(backend).breakers["read"].succeeded()
    assert await ask("x") == "x"
    assert await ask("x") == "x"
    assert last_lookup().outcome == "exact"


async def test_a_failing_store_is_told_when_asked_for():
    engine = engine_on(FaultyBackend(RuntimeError("full"), only=("set",)), on_error="raise")

    @engine.cache()
    async def ask(prompt: str):
        return prompt

    with pytest.raises(CacheBackendError, match="failed: RuntimeError") as raised:
        await ask("x")
    assert str(raised.value.__cause__) == "full"


async def test_one_engine_raising_does_not_make_another_raise():
    backend = FaultyBackend(RuntimeError("down"))
    loud = engine_on(backend, on_error="raise", namespace="team")
    quiet = engine_on(backend, namespace="team")
    release = asyncio.Event()

    async def slow_failure():
        await release.wait()
        raise RuntimeError("down")

    backend.fault = None

    async def get(key):
        await slow_failure()

    backend.get = get
    backend.set = get
    request = Request("team", None, "q")

    async def call():
        return "answer"

    first = asyncio.create_task(loud.get_or_call(request, call))
    await asyncio.sleep(0)
    second = asyncio.create_task(quiet.get_or_call(request, call))
    await asyncio.sleep(0)
    release.set()
    error, answer = await gathered([first, second])
    assert isinstance(error, CacheBackendError)
    assert answer == "answer"


@pytest.mark.parametrize(
    "answer", [broken_candidates, nonsense_get, lambda: None, lambda: [Candidate("k", nonsense_entry(), 0.99)]]
)
async def test_nonsense_from_a_near_search(answer):
    engine = engine_on(FaultyBackend(answer, only=("find_candidates",)), similarity=0.9)

    @engine.cache()
    async def ask(prompt: str):
        return prompt.upper()

    assert await ask("hello") == "HELLO"
    assert await ask("hello") == "HELLO", "the exact tier goes on"
    assert ask.cache_info().exact_hits == 1


async def test_misuse_always_raises():
    for on_error in ("open", "raise"):
        engine = SemanticCache(FaultyBackend(RuntimeError("down")), on_error=on_error)

        @engine.cache()
        async def ask(prompt: str, client: object):
            return prompt

        with pytest.raises(CacheKeyError, match="client"):
            await ask("x", object())
        with pytest.raises(TypeError, match="missing"):
            await ask("x")
    with pytest.raises(ValueError, match="on_error"):
        SemanticCache(on_error="ignore")


# ------------------------------------------------------------------ the circuit breaker


async def test_the_breaker_opens_after_three_failures_and_tries_again(monkeypatch, caplog):
    caplog.set_level(logging.WARNING, LOG)
    now = Clock(1000.0)
    monkeypatch.setattr("semantic_llm_cache.runtime.breaker.time.monotonic", now)
    backend = FaultyBackend(RuntimeError("down"))
    engine = engine_on(backend)
    told = []
    before = get_stats()["errors"]

    @engine.cache(on_event=told.append)
    async def ask(prompt: str):
        return prompt

    for prompt in "12345":
        assert await ask(prompt) == prompt
    assert backend.calls == ["get"] * 3, "an open breaker keeps calls from waiting"
    assert "open" in last_lookup().reason
    now.now += 4.9
    await ask("6")
    assert len(backend.calls) == 3
    now.now += 0.2
    await gathered([asyncio.create_task(ask(str(n))) for n in range(7, 12)])
    assert backend.calls[3:] == ["get"], "of many callers one tries"
    backend.fault = None
    now.now += 5.1
    await ask("20")
    await ask("20")
    assert last_lookup().outcome == "exact"
    warnings = [record.getMessage() for record in caplog.records if record.name == LOG]
    assert len(warnings) == 2, warnings
    assert "faulty://" in warnings[0]
    assert "RuntimeError at" in warnings[0]
    assert "Check" in warnings[0]
    assert "again" in warnings[1]
    # 1 to 6, 7 to 11, and none of 20's two.
    assert ask.cache_info().errors == 11
    assert get_stats()["errors"] - before == 11
    assert [lookup.outcome for lookup in told] == ["error"] * 11 + ["miss", "exact"]


@pytest.mark.parametrize("kind", ["set", "find_candidates"])
async def test_what_fails_of_the_storage_takes_nothing_else_along(kind, caplog):
    caplog.set_level(logging.WARNING, LOG)
    backend = FaultyBackend(only=(kind,))
    engine = engine_on(backend, similarity=0.9, timeout=0.2)  # the healthy operations have time on a busy machine

    @engine.cache()
    async def ask(prompt: str):
        return prompt

    await ask("hello there")
    backend.fault = "hang"
    for prompt in ("one", "two", "three", "four", "five", "six"):
        assert await ask(prompt) == prompt
        assert await ask("hello there") == "hello there"
        assert last_lookup().outcome == "exact"
    assert backend.calls.count(kind) == 1 + 3
    if kind == "find_candidates":
        assert await ask("six") == "six"
        assert last_lookup().outcome == "exact", "stored meanwhile"
    else:
        assert await ask("hello there!") == "hello there"
        assert last_lookup().outcome == "near"
    assert len([record for record in caplog.records if record.name == LOG]) == 1, "told once"


async def test_a_hanging_storage_is_soon_not_waited_for():
    backend = FaultyBackend("hang")
    engine = engine_on(backend, timeout=0.02)

    @engine.cache()
    async def ask(prompt: str):
        return prompt

    for prompt in "abcdefgh":
        assert await limited(ask(prompt)) == prompt
    assert len(backend.calls) == 3


async def test_a_cancelled_caller_is_no_failure_of_the_storage():
    backend = FaultyBackend("hang")
    engine = engine_on(backend, timeout=None)

    @engine.cache()
    async def ask(prompt: str):
        return prompt

    for _ in range(4):
        task = asyncio.create_task(ask("x"))
        await asyncio.sleep(0.001)
        task.cancel()
        await gathered([task])
    assert not any(breaker.open for breaker in state_of(backend).breakers.values())


async def test_an_answer_or_prompt_that_cannot_be_written_is_no_outage(tmp_path):
    from semantic_llm_cache.backends import SQLiteBackend

    backend = SQLiteBackend(tmp_path / "cache.db")
    engine = SemanticCache(backend)

    @engine.cache()
    async def ask(prompt: str) -> dict:
        return {"usage": {"prompt_tokens": 2**70, "completion_tokens": 1}, "text": prompt}

    with pytest.warns(CacheWarning, match="an answer is returned uncached: a field of the entry cannot be stored"):
        assert (await ask("question"))["text"] == "question"
    for n in range(5):
        assert (await ask(f"question {n}"))["text"] == f"question {n}"
    assert not any(breaker.open for breaker in state_of(backend).breakers.values())
    await engine.close()


async def test_a_raising_hook_price_or_condition_is_harmless(caplog):
    def fail(*args):
        raise RuntimeError("hook")

    engine = SemanticCache("memory://", on_event=fail, price=fail, cache_if=fail)

    class Answer:
        @property
        def usage(self):
            raise RuntimeError("no usage")

        def __str__(self):
            raise RuntimeError("no text")

        def __deepcopy__(self, memo):
            raise RuntimeError("no copy")

    @engine.cache()
    async def ask(prompt: str):
        return prompt

    assert [await ask("x"), await ask("x")] == ["x", "x"]
    assert ask.cache_info().misses == 2, "what cache_if could not judge is not stored"
    odd = SemanticCache("memory://")
    answer = Answer()

    @odd.cache()
    async def strange(prompt: str):
        return answer

    with pytest.warns(UserWarning, match="uncached"):
        assert await strange("x") is answer


# ------------------------------------------------------------------ the embedder


EMBEDDER_FAULTS = {
    "raises": RuntimeError("no gpu"),
    "a vector that is not a number": np.full((1, 26), np.nan, dtype=np.float32),
    "a zero vector": np.zeros((1, 26), dtype=np.float32),
    "two vectors for one": np.ones((2, 26), dtype=np.float32),
    "no vectors": [],
    "a vector without length": np.zeros((1, 0), dtype=np.float32),
    "words": ["nonsense"],
}


@pytest.mark.parametrize("fault", EMBEDDER_FAULTS.values(), ids=EMBEDDER_FAULTS)
async def test_the_function_answers_and_is_stored_whatever_the_embedder_does(fault):
    embedder, backend = Letters(fault), MemoryBackend()
    engine = SemanticCache(backend, similarity=0.9, embedder=embedder, guards=None)

    @engine.cache()
    async def ask(prompt: str):
        return prompt.upper()

    assert await ask("hello") == "HELLO"
    if not isinstance(fault, np.ndarray) or len(fault) == 1:
        assert last_lookup().outcome == "error"
    assert await ask("hello") == "HELLO"
    assert last_lookup().outcome == "exact", "stored meanwhile, without a vector"
    ((_, entry),) = await backend.iterate()
    if last_lookup().outcome == "error":
        assert entry.embedding is None
    assert not any(breaker.open for breaker in state_of(backend).breakers.values())
    assert not any(breaker._count for breaker in state_of(backend).breakers.values()), "not the storage's fault"


async def test_the_embedders_breaker_opens_and_closes(monkeypatch, caplog):
    caplog.set_level(logging.WARNING, LOG)
    now = Clock(1000.0)
    monkeypatch.setattr("semantic_llm_cache.runtime.breaker.time.monotonic", now)
    embedder = Letters(RuntimeError("no gpu"))
    engine = SemanticCache("memory://", similarity=0.9, embedder=embedder, guards=None)

    @engine.cache()
    async def ask(prompt: str):
        return prompt

    for prompt in ("one", "two", "three", "four", "five"):
        assert await ask(prompt) == prompt
    assert embedder.calls == 3
    embedder.trouble = None
    now.now += 5.1
    await ask("hello there")
    assert last_lookup().outcome == "miss"
    assert await ask("hello there!") == "hello there"
    assert last_lookup().outcome == "near"
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert text.count("letters:26 failed") == 1
    assert "similarity=1.0" in text
    assert text.count("works again") == 1
    assert len(caplog.records) == 2, "told once when it began and once when it ended"


async def test_a_hanging_embedder_is_not_waited_for():
    release = threading.Event()
    embedder = Letters(release)
    engine = SemanticCache("memory://", similarity=0.9, embedder=embedder, guards=None, timeout=0.05)

    @engine.cache()
    async def ask(prompt: str):
        return prompt

    try:
        for prompt in ("one", "two", "three", "four", "five"):
            assert await limited(ask(prompt)) == prompt
            assert last_lookup().outcome == "error"
        assert embedder.calls <= 3
        assert await ask("one") == "one"
        assert last_lookup().outcome == "exact"
    finally:
        release.set()


async def test_an_embedder_that_raises_is_told_when_asked_for():
    embedder = Letters(RuntimeError("no gpu"))
    engine = SemanticCache("memory://", similarity=0.9, embedder=embedder, on_error="raise")

    @engine.cache()
    async def ask(prompt: str):
        return prompt

    with pytest.raises(EmbeddingUnavailableError, match="letters:26 failed: RuntimeError") as raised:
        await ask("one")
    assert str(raised.value.__cause__) == "no gpu"


async def test_loading_has_a_limit_of_its_own_and_trips_no_breaker(monkeypatch):
    embedder = Letters()
    embedder.is_loaded = False
    engine = SemanticCache("memory://", similarity=0.9, embedder=embedder, guards=None, timeout=0.05)
    slow = threading.Event()
    original = Letters.load

    def load(self):
        slow.wait(0.2)  # four times the limit of an operation
        original(self)

    monkeypatch.setattr(Letters, "load", load)

    @engine.cache()
    async def ask(prompt: str):
        return prompt

    await ask("hello there")
    assert last_lookup().outcome == "miss"
    await ask("hello there!")
    assert last_lookup().outcome == "near"

    slow.set()
    broken = Letters(RuntimeError("no file"))
    broken.is_loaded = False
    engine = SemanticCache("memory://", similarity=0.9, embedder=broken, guards=None)

    @engine.cache()
    async def other(prompt: str):
        return prompt

    for prompt in ("one", "two", "three", "four", "five"):
        assert await other(prompt) == prompt
        assert last_lookup().outcome == "error"
    broken.trouble = None
    await other("hello there")
    assert last_lookup().outcome == "miss", "no breaker keeps it from being tried again"


async def test_a_guard_that_fails_is_no_concern_of_the_caller():
    def guard(prompt, candidate):
        raise RuntimeError("guard")

    engine = SemanticCache("memory://", similarity=0.9, embedder=Letters(), guards=[guard])

    @engine.cache()
    async def ask(prompt: str):
        return prompt

    assert await ask("hello there") == "hello there"
    assert await ask("hello there!") == "hello there!", "what cannot be checked is not served"


def test_the_default_backend_may_be_broken_too(monkeypatch):
    from semantic_llm_cache import set_default_backend

    set_default_backend(FaultyBackend(RuntimeError("down")))
    try:

        @cache
        def ask(prompt: str):
            return prompt

        assert ask("x") == "x"
    finally:
        set_default_backend(None)
