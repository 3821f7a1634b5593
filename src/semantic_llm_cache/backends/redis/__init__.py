"""Entries in Redis."""

from semantic_llm_cache.backends.redis.backend import RedisBackend

__all__ = ["RedisBackend"]
