"""Whether the two answers behind a near miss say the same: then a lower threshold would have saved the call."""

from __future__ import annotations

from semantic_llm_cache.engine.engine import Engine
from semantic_llm_cache.keys.request import key_of_text
from semantic_llm_cache.server.operator.history import Event

__all__ = ["agreement"]


async def agreement(event: Event) -> float | None:
    """Return the probability that the fresh answer of a miss says the same as that of the nearest stored prompt.

    None where it is not known: an answer was not stored or is gone, the prompt was too long to keep, or the cache has a
    `same_answer=` of its own, which may cost money: then only equal answers are known.

    Raises:
        CacheBackendError: the storage fails.
    """
    lookup = event.lookup
    engine: Engine | None = lookup.handle[0]() if lookup.handle else None
    if engine is None or not lookup.stored or lookup.matched_prompt is None:
        return None
    nearest = key_of_text(lookup.scope, lookup.matched_prompt)
    fresh, stored = await engine.backend.get_many([lookup.key, nearest], touch=False)
    if fresh is None or stored is None:
        return None
    comparison = engine.decider.comparison
    known = comparison.at_once(fresh.response, stored.response)
    if known is not None or engine.options.same_answer is not None:
        return known
    return await comparison.probability(
        lookup.prompt, fresh.response, stored.response, engine.access.vectors, engine.notices
    )
