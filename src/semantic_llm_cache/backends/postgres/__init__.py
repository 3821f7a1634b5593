"""Entries in PostgreSQL."""

from semantic_llm_cache.backends.postgres.backend import PostgresBackend

__all__ = ["PostgresBackend"]
