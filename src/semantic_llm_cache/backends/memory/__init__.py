"""Entries in memory."""

import semantic_llm_cache._installation  # noqa: F401 - first, see there
from semantic_llm_cache.backends.memory.backend import MemoryBackend

__all__ = ["MemoryBackend"]
