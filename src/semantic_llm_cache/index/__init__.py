"""The in-process vector index that the memory and SQLite backends share."""

from semantic_llm_cache.index.vectors import VectorIndex

__all__ = ["VectorIndex"]
