"""Text to vectors: providers, their cache, and cosine similarity."""

from typing import TYPE_CHECKING, Any

import semantic_llm_cache._installation  # noqa: F401 - first, see there
from semantic_llm_cache.similarity.base import EmbeddingProvider, cosine_similarity
from semantic_llm_cache.similarity.cache import EmbeddingCache
from semantic_llm_cache.similarity.calling import CallableEmbeddingProvider
from semantic_llm_cache.similarity.factory import (
    check_available,
    create_embedding_provider,
    get_default_embedder,
    resolve_embedder,
    set_default_embedder,
)
from semantic_llm_cache.similarity.selftest import self_test
from semantic_llm_cache.similarity.unseen import Hidden, Unseen

if TYPE_CHECKING:
    from semantic_llm_cache.similarity.dummy import DummyEmbeddingProvider
    from semantic_llm_cache.similarity.onnx import OnnxEmbeddingProvider
    from semantic_llm_cache.similarity.openai import OpenAIEmbeddingProvider
    from semantic_llm_cache.similarity.sentence_transformer import SentenceTransformerProvider

__all__ = [
    "CallableEmbeddingProvider",
    "DummyEmbeddingProvider",
    "EmbeddingCache",
    "EmbeddingProvider",
    "Hidden",
    "OnnxEmbeddingProvider",
    "OpenAIEmbeddingProvider",
    "SentenceTransformerProvider",
    "Unseen",
    "check_available",
    "cosine_similarity",
    "create_embedding_provider",
    "get_default_embedder",
    "resolve_embedder",
    "self_test",
    "set_default_embedder",
]

# Imported on first use: a program that only matches exactly should not wait for them.
_LAZY = {
    "DummyEmbeddingProvider": "dummy",
    "OnnxEmbeddingProvider": "onnx",
    "OpenAIEmbeddingProvider": "openai",
    "SentenceTransformerProvider": "sentence_transformer",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
