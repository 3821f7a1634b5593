"""Where entries are kept: in memory, in one SQLite file."""

from semantic_llm_cache.backends.memory import MemoryBackend
from semantic_llm_cache.backends.sqlite import SQLiteBackend
from semantic_llm_cache.backends.urls import backend_from_url, resolve_backend

__all__ = ["MemoryBackend", "SQLiteBackend", "backend_from_url", "resolve_backend"]
