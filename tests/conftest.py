"""Shared by all tests: each has a default backend of its own, and statistics that begin at zero."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from semantic_llm_cache import set_default_backend, set_default_embedder
from semantic_llm_cache.backends import MemoryBackend
from semantic_llm_cache.calls import lookup
from semantic_llm_cache.stats import reset_stats
from semantic_llm_cache.storage import registry


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
    lookup.remember(None)
    registry._by_url.clear()
