"""Text to vectors: providers, their cache, and cosine similarity."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import semantic_llm_cache._installation  # noqa: F401 - first, see there

if TYPE_CHECKING:
    from semantic_llm_cache.similarity.base import EmbeddingProvider, cosine_similarity
    from semantic_llm_cache.similarity.cache import EmbeddingCache
    from semantic_llm_cache.similarity.calling import CallableEmbeddingProvider
    from semantic_llm_cache.similarity.dummy import DummyEmbeddingProvider
    from semantic_llm_cache.similarity.factory import (
        check_available,
        create_embedding_provider,
        get_default_embedder,
        resolve_embedder,
        set_default_embedder,
    )
    from semantic_llm_cache.similarity.onnx import OnnxEmbeddingProvider
    from semantic_llm_cache.similarity.openai import OpenAIEmbeddingProvider
    from semantic_llm_cache.similarity.selftest import self_test
    from semantic_llm_cache.similarity.sentence_transformer import SentenceTransformerProvider
    from semantic_llm_cache.similarity.unseen import Hidden, Unseen

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
_LATER = {
    "CallableEmbeddingProvider": "calling",
    "DummyEmbeddingProvider": "dummy",
    "EmbeddingCache": "cache",
    "EmbeddingProvider": "base",
    "Hidden": "unseen",
    "OnnxEmbeddingProvider": "onnx",
    "OpenAIEmbeddingProvider": "openai",
    "SentenceTransformerProvider": "sentence_transformer",
    "Unseen": "unseen",
    "check_available": "factory",
    "cosine_similarity": "base",
    "create_embedding_provider": "factory",
    "get_default_embedder": "factory",
    "resolve_embedder": "factory",
    "self_test": "selftest",
    "set_default_embedder": "factory",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
