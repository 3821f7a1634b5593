"""Ollama clients through the cache.

client = wrap(ollama.AsyncClient(), similarity=0.95)
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, TypeVar

from semantic_llm_cache.arguments import kind_of
from semantic_llm_cache.integrations import httpx

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from semantic_llm_cache.wire.keywords import TransportOptions

__all__ = ["wrap"]

C = TypeVar("C")


def wrap(client: C, **options: Unpack[TransportOptions]) -> C:
    """Return a client like `client`, whose calls go through the cache.

    `client` stays as it is, and shares its connections with the new one.

    Args:
        client: an ``ollama.Client`` or ``ollama.AsyncClient``.
        options: of `WireCache`, and with it of `SemanticCache`: ``similarity``, ``ttl``, ``backend``, ...

    Raises:
        TypeError: `client` is not an Ollama client.
        ValueError, TypeError: naming the option.
    """
    given: Any = client
    inner = getattr(given, "_client", None)
    if inner is None or not hasattr(given, "chat"):
        raise TypeError(f"client= must be a client of Ollama, such as ollama.AsyncClient(), not {kind_of(client)}")
    wrapped = copy.copy(given)
    wrapped._client = httpx.wrap(inner, **options)
    result: C = wrapped
    return result
