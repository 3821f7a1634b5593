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
    "EncryptionKeyError",
    "PromptCacheError",
]


class PromptCacheError(Exception):
    """Base of every error of this package."""


class CacheBackendError(PromptCacheError):
    """A storage backend failed: it raised, timed out, or cannot be opened.

    Reaches callers of a cached function only with `on_error="raise"`; code that uses a backend or
    the management functions directly always gets it.
    """


class CacheSerializationError(PromptCacheError):
    """A value cannot be stored, or a stored value cannot be read back."""


class CacheNotFoundError(PromptCacheError):
    """Something asked for by name is not in the cache."""


class CacheKeyError(PromptCacheError, TypeError):
    """A call has no stable cache key. The message names the argument or field and the ways out."""


class CacheReentryError(PromptCacheError, RuntimeError):
    """A cached call requested, from within itself, the answer that it is computing.

    Waiting would never end, so this is raised instead.
    """


class EmbeddingUnavailableError(PromptCacheError, RuntimeError):
    """Near matching was requested but no embedding model is available. The message says how to get one."""


class EncryptionKeyError(PromptCacheError, ValueError):
    """An encryption key is missing, cannot be read, or is not the key of this cache.

    This is a mistake in the set-up and no outage, so it is raised also with `on_error="open"`.
    """


class CacheWarning(UserWarning):
    """Category of every warning that this package emits."""
