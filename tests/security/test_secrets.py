"""What users' callables and servers raise is never logged with its text: it may hold a prompt or an answer."""

import asyncio
import gc
import logging
import sqlite3
import warnings

import pytest
from pydantic import BaseModel, field_validator

from semantic_llm_cache import (
    CacheBackendError,
    EmbeddingUnavailableError,
    SemanticCache,
    StorageBackend,
    get_stats,
    warm_cache,
)
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.similarity import CallableEmbeddingProvider, EmbeddingProvider

MARK = "tell nobody 5f3a"


class Told:
    """All that reached a log, a warning or stderr."""

    def __init__(self, caplog, capfd, warned):
        self._caplog, self._capfd, self._warned = caplog, capfd, warned

    def __str__(self):
        gc.collect()  # asyncio logs exceptions that nobody has fetched when their tasks go
        records = "\n".join(f"{record.getMessage()} {record.exc_text or ''}" for record in self._caplog.records)
        out, err = self._capfd.readouterr()
        return f"{records}\n{self._caplog.text}\n{out}{err}\n" + "\n".join(str(one.message) for one in self._warned)


@pytest.fixture
def told(caplog, capfd):
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield Told(caplog, capfd, warned)


def fail(*args, **kwargs):
    raise ValueError(MARK)


async def fail_async(*args, **kwargs):
    raise EmbeddingUnavailableError(MARK)  # an error of ours, raised by somebody else


class Letters(EmbeddingProvider):
    fingerprint = "letters"

    def encode_batch(self, texts):
        import numpy as np

        rows = np.array([[text.count(c) for c in "abcdefghijklmnop"] for text in texts], dtype=np.float32) + 1e-3
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


NEAR = {"similarity": 0.5, "embedder": Letters(), "guards": None}


@pytest.mark.parametrize("function", [fail, fail_async], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("verify", NEAR),
        ("verify", {**NEAR, "verify_mode": "background", "verify_band": (0.5, 1.0)}),
        ("same_answer", {**NEAR, "mode": "shadow"}),
        ("same_answer", {**NEAR, "max_error": 0.5}),
    ],
    ids=["verify", "verify in the background", "same_answer of shadow", "same_answer of a budget"],
)
async def test_judges(told, name, settings, function):
    engine = SemanticCache("memory://", **{name: function}, **settings)

    @engine.cache()
    async def ask(prompt: str):
        return f"an answer to {prompt} {MARK}"

    for _ in range(4):
        for prompt in ("how to bake bread", "how to bake breads", "bake bread how to"):
            await ask(f"{prompt} {MARK}")
    await asyncio.sleep(0.05)
    assert MARK not in str(told)


@pytest.mark.parametrize("name", ["cache_if", "price", "on_event"])
async def test_hooks(told, name):
    engine = SemanticCache("memory://", **{name: fail})

    @engine.cache()
    async def ask(prompt: str):
        return MARK

    for _ in range(3):
        assert await ask(MARK) == MARK
    assert MARK not in str(told)
    assert "ValueError at security/test_secrets.py" in str(told)


@pytest.mark.parametrize("name", ["normalizer", "key_func", "scope", "tags"])
async def test_callables_whose_exceptions_reach_the_caller(told, name):
    engine = SemanticCache("memory://")
    with pytest.raises((ValueError, TypeError)):

        @engine.cache(**{name: fail})
        async def ask(prompt: str):
            return MARK

        await ask(MARK)
    assert MARK not in str(told)


@pytest.mark.parametrize(
    "embedder",
    [
        CallableEmbeddingProvider(fail, fingerprint="one"),
        CallableEmbeddingProvider(fail, fingerprint="many", batch=True),
        CallableEmbeddingProvider(fail_async, fingerprint="async"),
        CallableEmbeddingProvider(lambda text: MARK, fingerprint="text"),
        CallableEmbeddingProvider(lambda text: (fail() for _ in text), fingerprint="lazy"),
        type("Own", (Letters,), {"encode_batch": fail})(),
        type("OwnAsync", (Letters,), {"aencode": fail_async})(),
        type("OwnUnloaded", (Letters,), {"loaded": False, "load": fail})(),
        type("OwnUnreadable", (Letters,), {"readable": fail})(),
    ],
    ids=lambda embedder: embedder.fingerprint if embedder.fingerprint != "letters" else type(embedder).__name__,
)
async def test_embedders(told, embedder):
    engine = SemanticCache("memory://", similarity=0.9, embedder=embedder)

    @engine.cache()
    async def ask(prompt: str):
        return prompt

    for number in range(5):
        assert await ask(f"{MARK} {number}") == f"{MARK} {number}"
    await embedder.close()
    assert MARK not in str(told)
    assert "embed" in str(told)


async def test_a_guard(told):
    engine = SemanticCache("memory://", similarity=0.5, embedder=Letters(), guards=[fail])

    @engine.cache()
    async def ask(prompt: str):
        return prompt

    await ask(f"one {MARK}")
    await ask(f"two {MARK}")
    assert MARK not in str(told)


class Broken(StorageBackend):
    """Somebody else's storage, whose errors quote what it was given."""

    def __init__(self, error):
        super().__init__()
        self.error = error
        self.memory = MemoryBackend()

    url = "broken://"

    async def get(self, key):
        raise self.error

    async def set(self, key, entry):
        raise self.error

    async def delete(self, key):
        raise self.error

    async def clear(self, namespace=None):
        raise self.error

    async def iterate(self, namespace=None):
        raise self.error

    async def find_similar(self, *args, **kwargs):
        raise self.error

    async def get_stats(self):
        raise self.error


@pytest.mark.parametrize("error", [RuntimeError, CacheBackendError, OSError])
async def test_a_storage_of_somebody_else(told, error):
    engine = SemanticCache(Broken(error(MARK)), **NEAR)

    @engine.cache()
    async def ask(prompt: str):
        return prompt

    for _ in range(4):
        assert await ask(MARK) == MARK
    assert MARK not in str(told)
    assert "broken://" in str(told)
    engine.backend.error = None  # its traceback would keep the engine, and so this storage, in use


class Strict(BaseModel):
    text: str

    @field_validator("text")
    @classmethod
    def check(cls, text):
        if Strict.refuses:
            raise ValueError(f"{text} is refused")
        return text


Strict.refuses = False


class Odd:
    """An answer whose own code raises."""

    def __eq__(self, other):
        raise ValueError(MARK)

    __hash__ = None

    def __reduce__(self):
        raise ValueError(MARK)

    def __getattr__(self, name):
        raise ValueError(MARK)


async def test_answers_that_cannot_be_stored_or_read(told, tmp_path):
    async with SQLiteBackend(tmp_path / "cache.db") as backend:
        engine = SemanticCache(backend)

        @engine.cache()
        async def strict(prompt: str) -> Strict:
            return Strict.model_construct(text=MARK)

        @engine.cache()
        async def odd(prompt: str):
            return {"a key": [Odd()], MARK: Odd()}

        @engine.cache()
        async def keyed(prompt: str):
            return {MARK: Odd()}

        @engine.cache()
        async def lone(prompt: str):
            return {MARK: "\ud800"}

        await strict("1")
        Strict.refuses = True
        try:
            await strict("1")
            await strict("2")
        finally:
            Strict.refuses = False
        for function in (odd, keyed, lone):
            await function(MARK)
            await function(MARK)
    assert MARK not in str(told)
    assert "uncached" in str(told)


async def test_streams(told):
    engine = SemanticCache("memory://")

    @engine.cache()
    async def stream(prompt: str):
        yield MARK
        yield Odd()

    @engine.cache()
    async def broken(prompt: str):
        yield MARK
        raise ValueError(MARK)

    assert len([chunk async for chunk in stream(MARK)]) == 2
    with pytest.raises(ValueError, match=MARK):
        [chunk async for chunk in broken(MARK)]
    assert MARK not in str(told)


async def test_a_refresh_that_fails(told):
    now = [1000.0]
    engine = SemanticCache("memory://", ttl=10, stale_while_revalidate=1000, clock=lambda: now[0])
    fails = [False]  # a list, which is read once: a name that is bound anew is part of the key

    @engine.cache()
    async def ask(prompt: str):
        if fails[0]:
            raise ValueError(MARK)
        return "an answer"

    await ask(MARK)
    now[0], fails[0] = 1020.0, True
    assert await ask(MARK) == "an answer"
    await asyncio.sleep(0.05)
    assert MARK not in str(told)
    assert "refreshed" in str(told)


async def test_warming(told):
    @SemanticCache("memory://").cache()
    async def ask(prompt: str):
        raise ValueError(prompt)

    assert await warm_cache([MARK], ask) == 0
    assert MARK not in str(told)
    assert get_stats()["hits"] == 0


async def test_damaged_rows_of_a_file(told, tmp_path):
    path = tmp_path / "cache.db"
    async with SQLiteBackend(path) as backend:
        engine = SemanticCache(backend, **NEAR)

        @engine.cache()
        async def ask(prompt: str):
            return MARK

        for number in range(5):
            await ask(f"{MARK} {number}")
        connection = sqlite3.connect(path)
        damages = (
            "prompt = CAST(x'ff' || prompt AS TEXT)",
            "response = prompt",
            "tags = prompt",
            "created_at = prompt",
            "hit_count = prompt",
        )
        for number, damage in enumerate(damages):
            connection.execute(f"UPDATE entries SET {damage} WHERE prompt = ?", (f"{MARK} {number}",))
        connection.commit()
        connection.close()
        for number in range(5):
            assert await ask(f"{MARK} {number}") == MARK
        await backend.iterate()
        await backend.invalidate("nothing of the kind")
    assert MARK not in str(told)
