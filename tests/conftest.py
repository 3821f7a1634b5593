"""Shared by all tests: each has a default backend of its own, and statistics that begin at zero."""

import gc
import os
import subprocess
import sys
import textwrap
import time
import weakref

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from semantic_llm_cache import set_default_backend, set_default_embedder
from semantic_llm_cache.backends import MemoryBackend
from semantic_llm_cache.calls import lookup
from semantic_llm_cache.stats import reset_stats
from semantic_llm_cache.storage import registry

pytest.register_assert_rewrite("semantic_llm_cache.testing")


_LONG = (
    "test_dashboard_browser", "test_other_versions", "test_secrets", "test_benchmarks", "test_postgres_lost_parts",
    "test_scope_pairs",
    "test_postgres_conformance", "test_bad_input_commands", "test_large_answers", "test_every_keyword",
    "test_front_listening", "test_online_worlds", "test_shared_", "test_redis_conformance", "test_attack_",
    "test_langchain_standard",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    """Start the files that take longest first, so that no worker runs one alone at the end."""
    items.sort(key=lambda item: next((i for i, name in enumerate(_LONG) if name in item.nodeid), len(_LONG)))


def pytest_collection_finish():
    """Leave what exists by now out of garbage collection.

    Thousands of collected tests make each full collection take a quarter of a second, and many tests ask for one.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def fresh_cache(monkeypatch):
    for name in ("SEMANTIC_LLM_CACHE_URL", "SEMANTIC_LLM_CACHE_DISABLED", "SEMANTIC_LLM_CACHE_SECRET"):
        monkeypatch.delenv(name, raising=False)
    backend = MemoryBackend()
    set_default_backend(backend)
    reset_stats()
    yield backend
    set_default_backend(None)
    set_default_embedder(None)
    # What a test used is not in use in the next one.
    lookup.forget()
    registry._by_url.clear()


@pytest.fixture
def default_backend():
    """A default backend of this test's own."""
    backend = MemoryBackend()
    set_default_backend(backend)
    yield backend
    set_default_backend(None)


@pytest.fixture
def script(tmp_path):
    """Run a Python script in a process of its own, in `tmp_path`; return (status, stdout, stderr, seconds)."""

    def run(text, *arguments, env=None, timeout=60):
        path = tmp_path / "script.py"
        path.write_text(textwrap.dedent(text))
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning:__main__", str(path), *arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd=tmp_path,
            env={**os.environ, **(env or {})},
        )
        return done.returncode, done.stdout, done.stderr, time.perf_counter() - began

    return run


@pytest.fixture
def run_script():
    """Run a Python script in a process of its own; its status must be 0. Returns what it printed."""

    def run(text, *arguments, timeout=60):
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(text), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        assert done.returncode == 0, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


@pytest.fixture
def only_own_engines(monkeypatch):
    """What acts on all caches in use sees those of this test alone.

    Engines of earlier tests live on while something, such as hypothesis, holds the test that made them.
    """
    monkeypatch.setattr(registry, "_engines", weakref.WeakSet())
    monkeypatch.setattr(registry, "_by_url", weakref.WeakValueDictionary())
