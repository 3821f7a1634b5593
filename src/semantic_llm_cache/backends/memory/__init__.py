"""Entries in memory."""

from semantic_llm_cache.backends.memory.backend import MemoryBackend

__all__ = ["MemoryBackend"]
