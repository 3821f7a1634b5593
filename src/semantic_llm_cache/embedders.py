"""One cache of recent vectors per embedding provider of this process."""

from __future__ import annotations

import threading
from typing import Any

__all__ = ["shared_embedder"]

_lock = threading.Lock()
_NAME = "_semantic_llm_cache_vectors"


def shared_embedder(option: Any) -> Any:
    """Return the provider that `option` names, behind the cache of vectors it has in this process.

    Nothing is loaded.

    Raises:
        EmbeddingUnavailableError: the packages or files it needs are not there.
        TypeError, ValueError: no provider, name or callable.
    """
    from semantic_llm_cache.similarity import EmbeddingCache, check_available

    provider = check_available(option)
    if isinstance(provider, EmbeddingCache):
        return provider
    found = getattr(provider, _NAME, None)
    if found is None:
        with _lock:
            found = getattr(provider, _NAME, None)
            if found is None:
                found = EmbeddingCache(provider)
                try:
                    # Kept on the provider, so that both go together.
                    setattr(provider, _NAME, found)
                except AttributeError:  # a provider with __slots__: each engine has a cache of its own
                    pass
    return found
