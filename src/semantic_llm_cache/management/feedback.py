"""Feedback: people report whether an answer was right, and the cache learns from it."""

from __future__ import annotations

from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.exceptions import CacheNotFoundError

__all__ = ["report_right", "report_wrong"]


async def report_wrong(lookup: Lookup) -> bool:
    """Report that the answer of a hit was wrong: its entry is evicted, and the pair is not matched again.

    The online policy, if there is one, learns from it. Counted in `get_stats()["reported_wrong"]`.

    Args:
        lookup: of the hit, from `last_lookup()`, `on_event` or `CacheContext.lookups`.

    Returns:
        True when an entry was evicted.

    Raises:
        CacheNotFoundError: the lookup is no hit, or its cache is gone.

    Example:
        >>> import asyncio
        >>> from semantic_llm_cache import cache, last_lookup
        >>> @cache(backend="memory://")
        ... async def ask(prompt: str) -> str:
        ...     return "5"
        >>> async def main():
        ...     await ask("2 + 2?")
        ...     await ask("2 + 2?")
        ...     return await report_wrong(last_lookup())
        >>> asyncio.run(main())
        True
    """
    return await _report(lookup, right=False)


async def report_right(lookup: Lookup) -> bool:
    """Report that the answer of a hit was right: a near pair becomes aliases of one answer.

    The online policy, if there is one, learns from it. Counted in `get_stats()["reported_right"]`.

    Returns:
        True when the prompt has been stored as an alias.

    Raises:
        CacheNotFoundError: the lookup is no hit, or its cache is gone.
    """
    return await _report(lookup, right=True)


async def _report(lookup: Lookup, *, right: bool) -> bool:
    if not isinstance(lookup, Lookup):
        raise TypeError(f"lookup={lookup!r} must be a Lookup, such as last_lookup() returns")
    engine = lookup.handle[0]() if lookup.handle else None
    if engine is None or lookup.entry_key is None:
        raise CacheNotFoundError(
            f"there is nothing to report on: the lookup is a {lookup.outcome}, not a hit of a cache in this process"
        )
    changed: bool = await engine.feedback(lookup, right)
    return changed
