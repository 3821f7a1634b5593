"""Where entries are kept: in memory, in one SQLite file, on a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from semantic_llm_cache.storage.registry import backend_from_url, resolve_backend

if TYPE_CHECKING:
    from semantic_llm_cache.backends.encrypted.backend import EncryptedBackend
    from semantic_llm_cache.backends.memory.backend import MemoryBackend
    from semantic_llm_cache.backends.postgres.backend import PostgresBackend
    from semantic_llm_cache.backends.redis.backend import RedisBackend
    from semantic_llm_cache.backends.sqlite.backend import SQLiteBackend

__all__ = [
    "EncryptedBackend", "MemoryBackend", "PostgresBackend", "RedisBackend", "SQLiteBackend", "backend_from_url",
    "resolve_backend",
]  # fmt: skip

# Imported when first asked for: a program pays only for the storage that it uses.
_LATER = {
    "EncryptedBackend": "encrypted",
    "MemoryBackend": "memory",
    "PostgresBackend": "postgres",
    "RedisBackend": "redis",
    "SQLiteBackend": "sqlite",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(f"{__name__}.{_LATER[name]}.backend"), name)
    return found
