"""An engine as a Python object: `with`, `repr`, `dir`, copies, pickling; and `preload`."""

import asyncio
import copy
import pickle

import pytest

from semantic_llm_cache import CacheBackendError, EmbeddingUnavailableError, SemanticCache, set_default_backend
from semantic_llm_cache.backends import MemoryBackend, SQLiteBackend
from semantic_llm_cache.similarity import DummyEmbeddingProvider

# ------------------------------------------------------------------------------ with


def test_a_plain_with_writes_and_closes(tmp_path):
    with SemanticCache(f"sqlite:///{tmp_path}/a.db") as engine:

        @engine.cache
        def ask(prompt):
            return prompt.upper()

        assert [ask("q"), ask("q")] == ["Q", "Q"]
    assert asyncio.run(SQLiteBackend(tmp_path / "a.db").get_counters())["default"]["exact_hits"] == 1
    assert ask("q") == "Q"  # it may be used again
    engine.close_blocking()


async def test_what_would_block_the_running_loop_is_refused_and_names_what_to_write():
    engine = SemanticCache("memory://")
    with pytest.raises(RuntimeError, match=r"write `async with SemanticCache\(...\)` there"):
        engine.__enter__()
    with pytest.raises(RuntimeError, match=r"preload_blocking\(\).*write `await engine.preload\(\)` there"):
        engine.preload_blocking()
    with pytest.raises(RuntimeError, match=r"close_blocking\(\).*`await engine.close\(\)`.*asyncio.to_thread"):
        engine.close_blocking()
    assert await asyncio.to_thread(engine.preload_blocking) is True


# ------------------------------------------------------------------------------ preload


class SlowToLoad(DummyEmbeddingProvider):
    def __init__(self, fails=False):
        super().__init__()
        self.fails = fails
        self.here = False

    @property
    def loaded(self):
        return self.here

    def load(self):
        if self.fails:
            raise EmbeddingUnavailableError("there is no model")
        self.here = True


async def test_preload_loads_the_model_and_the_index(tmp_path):
    async with SemanticCache(f"sqlite:///{tmp_path}/a.db", similarity=0.9, embedder="dummy") as engine:
        ask = engine.cache(ttl=60)(_ask)
        await ask("What is Python?")
    embedder = SlowToLoad()
    engine = SemanticCache(SQLiteBackend(tmp_path / "a.db"), similarity=0.9, embedder=embedder)
    assert not engine.bound()[1].searched
    assert await engine.preload() is True
    assert embedder.here
    assert engine.bound()[1].searched
    assert engine.info() == SemanticCache("memory://").info()  # nothing is counted
    assert len(await engine.backend.iterate()) == 1  # and nothing stored
    await engine.close()


async def test_preload_loads_the_model_where_the_storage_knows_the_vector_of_its_text(tmp_path):
    for start in range(2):  # the second is a restart within two hours
        embedder = SlowToLoad()
        async with SemanticCache(SQLiteBackend(tmp_path / "a.db"), similarity=0.9, embedder=embedder) as engine:
            assert await engine.preload() is True
        assert embedder.here, start
    broken = SemanticCache(SQLiteBackend(tmp_path / "a.db"), similarity=0.9, embedder=SlowToLoad(fails=True))
    assert await broken.preload() is False
    await broken.close()


async def _ask(prompt: str) -> str:
    return prompt


async def test_preload_loads_the_error_budget():
    engine = SemanticCache("memory://", max_error=0.02, embedder="dummy")
    assert await engine.preload() is True
    assert list(engine.bound()[1].policies) == [engine.learning.policy_name()]


async def test_preload_of_an_exact_cache_needs_no_model():
    assert await SemanticCache("memory://", embedder=SlowToLoad(fails=True)).preload() is True
    assert await SemanticCache("redis://127.0.0.1:1", enabled=False).preload() is True


async def test_preload_reports_a_failure_or_raises_it():
    down = "redis://127.0.0.1:1"
    assert await SemanticCache(down).preload() is False
    assert await SemanticCache(similarity=0.9, embedder=SlowToLoad(fails=True)).preload() is False
    with pytest.raises(CacheBackendError):
        await SemanticCache(down, on_error="raise").preload()
    with pytest.raises(EmbeddingUnavailableError, match="there is no model"):
        await SemanticCache(similarity=0.9, embedder=SlowToLoad(fails=True), on_error="raise").preload()


# ------------------------------------------------------------------------------ repr and dir


class Failing(DummyEmbeddingProvider):
    @property
    def fingerprint(self):
        raise RuntimeError


def embed(text):
    return [1.0, 0.0]


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        (lambda: SemanticCache("memory://"), "<SemanticCache on memory://, similarity=1>"),
        (
            lambda: SemanticCache("sqlite:///a.db", similarity=0.85, embedder="dummy", namespace="faq"),
            "<SemanticCache on sqlite:///a.db, similarity=0.85, embedder='dummy', namespace='faq'>",
        ),
        (
            lambda: SemanticCache("redis://me:hush@h:6379/0?prefix=x"),
            "<SemanticCache on redis://h:6379/0, similarity=1>",
        ),
        (lambda: SemanticCache("postgresql://me:hush@h/d"), "<SemanticCache on postgresql://h/d, similarity=1>"),
        (
            lambda: SemanticCache("memory://", similarity=0.9, embedder=DummyEmbeddingProvider(), mode="shadow"),
            f"similarity=0.9, embedder={DummyEmbeddingProvider().fingerprint!r}, mode='shadow'>",
        ),
        (lambda: SemanticCache("memory://", similarity=0.9, embedder=embed), "embedder=embed>"),
        (lambda: SemanticCache("memory://", embedder=Failing(), enabled=False), "embedder=Failing, enabled=False>"),
        (lambda: SemanticCache("memory://", max_error=0.02, embedder="dummy"), "similarity=0.5, embedder='dummy'>"),
        (lambda: SemanticCache("memory://").derive(similarity=0.9, embedder="dummy"), "<SemanticCache on memory://"),
    ],
)
def test_what_an_engine_looks_like(made, shown):
    assert shown in repr(made())
    assert "hush" not in repr(made())


def test_showing_an_engine_makes_no_default_backend(monkeypatch):
    set_default_backend(None)
    monkeypatch.setenv("SEMANTIC_LLM_CACHE_URL", "nope://me:hush@h")
    assert repr(SemanticCache()) == "<SemanticCache on the default backend, similarity=1>"
    set_default_backend("memory://")
    assert repr(SemanticCache()) == "<SemanticCache on memory://, similarity=1>"
    set_default_backend(None)


def test_cached_functions_say_what_they_are():
    class Bot:
        @SemanticCache("memory://").cache
        def ask(self, prompt):
            return prompt

    name = "test_cached_functions_say_what_they_are.<locals>.Bot.ask"
    assert repr(Bot.ask) == f"<cached function {name}>"
    assert repr(Bot().ask).startswith(f"<cached method {name} of ")


def test_dir_shows_what_is_for_users():
    class Mine(SemanticCache):
        def __init__(self):
            super().__init__("memory://")
            self.tenant = "a"

    methods = {
        "adjust", "cache", "close", "close_blocking", "counters", "delete", "derive", "get_or_call",
        "get_or_call_blocking", "info", "lookup", "online_policy", "preload", "preload_blocking", "store",
    }  # fmt: skip
    options = {
        "backend", "cache_if", "clock", "enabled", "namespace", "on_error", "similarity", "single_flight", "tags",
        "timeout", "ttl",
    }  # fmt: skip
    assert {name for name in dir(Mine()) if not name.startswith("_")} == methods | options | {"tenant"}


# ------------------------------------------------------------------------------ copies


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
async def test_a_copy_is_another_engine_on_the_same_backend(copied):
    class Mine(SemanticCache):
        def __init__(self, tenant):
            super().__init__(MemoryBackend(), ttl=5, namespace="n")
            self.tenant = tenant

    engine = Mine("a")
    ask = engine.cache(_ask)
    await ask("q")
    other = copied(engine)
    assert (type(other), other.tenant, other.ttl, other.backend is engine.backend) == (Mine, "a", 5.0, True)
    assert other is not engine
    again = other.cache(_ask)
    await again("q")
    assert (again.cache_info().hits, ask.cache_info().hits) == (1, 0)
    assert other.access is not engine.access


def test_what_holds_an_engine_can_be_copied_deeply():
    held = {"engine": SemanticCache("memory://"), "list": [1]}
    made = copy.deepcopy(held)
    assert made["engine"].backend is held["engine"].backend
    assert made["list"] is not held["list"]


def test_pickling_an_engine_says_what_to_do_instead():
    with pytest.raises(
        TypeError, match=r"SemanticCache cannot be pickled: .*Create one in each process, with the same"
    ):
        pickle.dumps(SemanticCache("memory://"))
