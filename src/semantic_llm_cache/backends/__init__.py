"""Where entries are kept: in memory, in one SQLite file, on a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from semantic_llm_cache.backends.memory.backend import MemoryBackend
from semantic_llm_cache.backends.sqlite.backend import SQLiteBackend
from semantic_llm_cache.storage.urls import backend_from_url, resolve_backend

if TYPE_CHECKING:
    from semantic_llm_cache.backends.postgres.backend import PostgresBackend
    from semantic_llm_cache.backends.redis.backend import RedisBackend

__all__ = ["MemoryBackend", "PostgresBackend", "RedisBackend", "SQLiteBackend", "backend_from_url", "resolve_backend"]

# Imported when first asked for: servers take more than the standard library.
_LATER = {"PostgresBackend": "postgres", "RedisBackend": "redis"}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        import importlib

        return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
