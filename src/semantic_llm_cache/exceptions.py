"""Every error that this package raises on purpose.

The tree is shallow: catch `PromptCacheError` for all of them.
"""

from __future__ import annotations

__all__ = [
    "CacheBackendError",
    "CacheKeyError",
    "CacheNotFoundError",
    "CacheReentryError",
    "CacheSerializationError",
    "CacheWarning",
    "EmbeddingUnavailableError",
    "PromptCacheError",
]


class PromptCacheError(Exception):
    """Base of every error of this package."""


class CacheBackendError(PromptCacheError):
    """A storage backend failed: it raised, timed out, or cannot be opened.

    Reaches callers of a cached function only with `on_error="raise"`; people who use a backend or
    the management functions directly always see it.
    """


class CacheSerializationError(PromptCacheError):
    """A value cannot be stored, or a stored value cannot be read back."""


class CacheNotFoundError(PromptCacheError):
    """Something asked for by name is not in the cache."""


class CacheKeyError(PromptCacheError, TypeError):
    """A call has no stable cache key. The message names the argument or field and the ways out."""


class CacheReentryError(PromptCacheError, RuntimeError):
    """A cached call asked, from within itself, for the very answer it is computing.

    Waiting for it would wait for ever, so the call is told instead.
    """


class EmbeddingUnavailableError(PromptCacheError, RuntimeError):
    """Near matching was asked for and no embedding model can be used. The message says how to get one."""


class CacheWarning(UserWarning):
    """Category of every warning that this package emits."""
