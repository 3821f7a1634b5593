"""Text to vectors: providers, their cache, and cosine similarity."""

from semantic_llm_cache.similarity.base import EmbeddingProvider, cosine_similarity

__all__ = ["EmbeddingProvider", "cosine_similarity"]
