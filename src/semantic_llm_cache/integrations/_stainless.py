"""Clients of SDKs that Stainless generates: OpenAI and Anthropic."""

from __future__ import annotations

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

    Retries, timeouts, streams, ``with_raw_response``, ``parse()`` and ``with_options()`` are the SDK's own: the cache
    works below them, at the connection. `client` stays as it is, and shares its connections with the new one.

    Args:
        client: plain or async.
        options: of `WireCache`, and with it of `SemanticCache`: ``similarity``, ``ttl``, ``backend``, ...

    Raises:
        TypeError: `client` is not a client of this SDK.
        ValueError, TypeError: naming the option.
    """
    given: Any = client
    inner = getattr(given, "_client", None)
    if inner is None or not hasattr(given, "with_options"):
        raise TypeError(
            f"client= must be a client of the SDK, such as AsyncOpenAI() or AsyncAnthropic(), not {kind_of(client)}"
        )
    result: C = given.with_options(http_client=httpx.wrap(inner, **options))
    return result
