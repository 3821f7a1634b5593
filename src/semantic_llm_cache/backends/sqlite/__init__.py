"""Entries in one SQLite file."""

from semantic_llm_cache.backends.sqlite.backend import SQLiteBackend

__all__ = ["SQLiteBackend"]
