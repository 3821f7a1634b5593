"""A semantic cache for LLM calls: one decorator, exact and near hits, async throughout."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import semantic_llm_cache._installation  # noqa: F401 - first, see there
from semantic_llm_cache._version import __version__

if TYPE_CHECKING:
    from semantic_llm_cache import stats as stats
    from semantic_llm_cache import sync as sync
    from semantic_llm_cache.calls.context import CacheContext
    from semantic_llm_cache.calls.lookup import Lookup, last_lookup
    from semantic_llm_cache.config import CacheConfig
    from semantic_llm_cache.doors.cache import SemanticCache, cache
    from semantic_llm_cache.doors.judge import ModelJudge
    from semantic_llm_cache.doors.llm import CachedLLM
    from semantic_llm_cache.exceptions import (
        CacheBackendError,
        CacheKeyError,
        CacheNotFoundError,
        CacheSerializationError,
        EmbeddingUnavailableError,
        PromptCacheError,
    )
    from semantic_llm_cache.keys.fingerprint import register_fingerprint
    from semantic_llm_cache.keys.request import Request
    from semantic_llm_cache.management.copying import copy_cache
    from semantic_llm_cache.management.feedback import report_right, report_wrong
    from semantic_llm_cache.management.logs.warming import warm_from_log
    from semantic_llm_cache.management.reembedding import reembed_cache
    from semantic_llm_cache.matching.answers import AnswerJudge, AnswerVerdict
    from semantic_llm_cache.matching.judges.cross_encoder import CrossEncoderJudge
    from semantic_llm_cache.similarity import set_default_embedder
    from semantic_llm_cache.stats import (
        CacheStats,
        clear_cache,
        export_cache,
        get_stats,
        import_cache,
        invalidate,
        warm_cache,
    )
    from semantic_llm_cache.storage.contract import StorageBackend
    from semantic_llm_cache.storage.registry import get_default_backend, set_default_backend

__all__ = [
    "AnswerJudge",
    "AnswerVerdict",
    "CacheBackendError",
    "CacheConfig",
    "CacheContext",
    "CacheKeyError",
    "CacheNotFoundError",
    "CacheSerializationError",
    "CacheStats",
    "CachedLLM",
    "CrossEncoderJudge",
    "EmbeddingUnavailableError",
    "Lookup",
    "ModelJudge",
    "PromptCacheError",
    "Request",
    "SemanticCache",
    "StorageBackend",
    "__version__",
    "cache",
    "clear_cache",
    "copy_cache",
    "export_cache",
    "get_default_backend",
    "get_stats",
    "import_cache",
    "invalidate",
    "last_lookup",
    "reembed_cache",
    "register_fingerprint",
    "report_right",
    "report_wrong",
    "set_default_backend",
    "set_default_embedder",
    "warm_cache",
    "warm_from_log",
]

# A name is imported when it is first asked for: the command line answers --help without loading numpy, and a program
# does not wait for what it does not use.
_LATER = {
    "AnswerJudge": "matching.answers",
    "AnswerVerdict": "matching.answers",
    "CacheBackendError": "exceptions",
    "CacheConfig": "config",
    "CacheContext": "calls.context",
    "CacheKeyError": "exceptions",
    "CacheNotFoundError": "exceptions",
    "CacheSerializationError": "exceptions",
    "CacheStats": "stats",
    "CachedLLM": "doors.llm",
    "CrossEncoderJudge": "matching.judges.cross_encoder",
    "EmbeddingUnavailableError": "exceptions",
    "Lookup": "calls.lookup",
    "ModelJudge": "doors.judge",
    "PromptCacheError": "exceptions",
    "Request": "keys.request",
    "SemanticCache": "doors.cache",
    "StorageBackend": "storage.contract",
    "cache": "doors.cache",
    "clear_cache": "stats",
    "copy_cache": "management.copying",
    "export_cache": "stats",
    "get_default_backend": "storage.registry",
    "get_stats": "stats",
    "import_cache": "stats",
    "invalidate": "stats",
    "last_lookup": "calls.lookup",
    "reembed_cache": "management.reembedding",
    "register_fingerprint": "keys.fingerprint",
    "report_right": "management.feedback",
    "report_wrong": "management.feedback",
    "set_default_backend": "storage.registry",
    "set_default_embedder": "similarity",
    "warm_cache": "stats",
    "warm_from_log": "management.logs.warming",
}

_MODULES = ("config", "exceptions", "similarity", "stats", "storage", "sync", "utils")
"""Modules that programs use without importing them by name."""


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER, *_MODULES})
