"""`semantic_llm_cache.sync`: the plain twins of the management functions."""

import asyncio
import inspect
import os
import pickle
import threading

import pytest

import semantic_llm_cache
from semantic_llm_cache import SemanticCache, cache, last_lookup, sync
from semantic_llm_cache.backends import MemoryBackend


def test_there_is_a_twin_of_each_async_function_of_the_package():
    named = semantic_llm_cache.__all__
    waiting = {name for name in named if inspect.iscoroutinefunction(getattr(semantic_llm_cache, name))}
    assert set(sync.__all__) == waiting
    assert semantic_llm_cache.sync is sync


@pytest.mark.parametrize("name", sync.__all__)
def test_a_twin_has_the_signature_and_the_documentation(name):
    function, twin = getattr(semantic_llm_cache, name), getattr(sync, name)
    assert inspect.signature(twin) == inspect.signature(function)
    assert not inspect.iscoroutinefunction(twin)
    assert (twin.__name__, twin.__module__) == (name, "semantic_llm_cache.sync")
    assert twin.__doc__.startswith(function.__doc__.splitlines()[0])
    assert "plain twin" in twin.__doc__
    assert "asyncio" not in twin.__doc__
    assert pickle.loads(pickle.dumps(twin)) is twin


@pytest.fixture(params=["memory", "sqlite"])
def backend(request, tmp_path):
    if request.param == "memory":
        return MemoryBackend()
    return semantic_llm_cache.backends.SQLiteBackend(tmp_path / "a.db")


def test_a_script_manages_its_entries(backend, tmp_path):
    with SemanticCache(backend, namespace="faq", tags=["faq"]) as engine:

        @engine.cache
        def ask(question: str) -> str:
            return question.title()

        @engine.cache
        async def aask(question: str) -> str:
            return question.title()

        assert sync.warm_cache(["opening hours?", "return policy?"], ask) == 2
        assert sync.warm_cache(["what for?"], aask, concurrency=1) == 1
        assert len(sync.export_cache("faq", tmp_path / "a.jsonl", backend=backend)) == 3
        assert sync.invalidate("policy", backend=backend) == 1
        assert sync.clear_cache("faq", backend=backend) == 2
        assert sync.import_cache(tmp_path / "a.jsonl", backend=backend) == 3
        assert ask("opening hours?") == "Opening Hours?"
        assert sync.report_right(last_lookup()) is False
        assert sync.report_wrong(last_lookup()) is True
        assert ask.cache_lookup("opening hours?").outcome == "miss"


def test_errors_pass_through():
    with pytest.raises(ValueError, match="needs a pattern"):
        sync.invalidate()
    with pytest.raises(TypeError, match="namespace=3"):
        sync.clear_cache(3)
    with pytest.raises(FileNotFoundError):
        sync.import_cache("no such file.json")


@pytest.mark.parametrize("name", sync.__all__)
async def test_where_a_loop_runs_the_async_function_is_named(name):
    with pytest.raises(RuntimeError) as caught:
        getattr(sync, name)()
    assert f"sync.{name}() would block the event loop" in str(caught.value)
    assert f"write `await semantic_llm_cache.{name}(...)` there" in str(caught.value)


async def test_it_works_in_a_thread_beside_a_running_loop():
    backend = MemoryBackend()

    @cache(backend=backend)
    async def ask(prompt):
        return prompt

    await ask("q")
    assert await asyncio.to_thread(sync.clear_cache, backend=backend) == 1


def test_it_works_in_many_threads_at_once():
    backends = [MemoryBackend() for _ in range(8)]
    found = []
    for backend in backends:
        SemanticCache(backend).cache(lambda prompt: prompt, prompt="prompt")("q")
    threads = [
        threading.Thread(target=lambda own=backend: found.append(sync.clear_cache(backend=own))) for backend in backends
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_it_works_after_a_fork():
    backend = MemoryBackend()
    SemanticCache(backend).cache(lambda prompt: prompt, prompt="prompt")("q")
    assert len(sync.export_cache(backend=backend)) == 1
    child = os.fork()
    if child == 0:
        try:
            os._exit(sync.clear_cache(backend=backend))
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    assert sync.clear_cache(backend=backend) == 1


def test_a_context_around_the_call_holds():
    from semantic_llm_cache import CacheContext

    backend = MemoryBackend()

    @cache(backend=backend)
    async def ask(prompt):
        return prompt

    with CacheContext(enabled=False):
        assert sync.warm_cache(["a"], ask) == 0
    assert sync.warm_cache(["a"], ask) == 1
