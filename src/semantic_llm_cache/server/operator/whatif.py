"""What another threshold would have changed for the calls of late."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from semantic_llm_cache.engine.engine import Engine
from semantic_llm_cache.server.operator.history import Event, History
from semantic_llm_cache.similarity.base import THRESHOLD_TOLERANCE

__all__ = ["passes_guards", "what_if"]

_MOST_CHECKED = 500


def passes_guards(event: Event, others: Iterable[Engine] = ()) -> bool | None:
    """Return whether the guards would let a near miss be a hit, if its threshold were lower.

    None where that is not known: the engine of the call is gone, or its prompts were too long to keep.
    What only the answers show, or a template of long prompts, is not checked.
    """
    lookup = event.lookup
    engine: Any = lookup.handle[0]() if lookup.handle else None
    engine = next(iter(others), None) if engine is None else engine
    if engine is None or not lookup.prompt or lookup.matched_prompt is None:
        return None
    if engine.decider.unseen(lookup.prompt, lookup.matched_prompt) is not None:
        return False
    guards = engine.decider.guards
    return not len(guards) or guards.check(lookup.prompt, lookup.matched_prompt) is None


async def what_if(history: History, threshold: float, namespace: str | None = None) -> dict[str, Any]:
    """Return what a threshold would have changed for the calls that were compared by meaning of late.

    Returns:
        What `Comparisons.counts_at` does, and ``checked``, how many of the newest misses above the threshold the
        guards were asked about, and ``passed``, how many of these they let through.
    """
    counts: dict[str, Any] = history.read(lambda one: one.comparisons.counts_at(threshold, namespace))
    above = [
        event
        for event in history.near_misses(_MOST_CHECKED, namespace)
        if event.lookup.reason.startswith("nearest ")
        and (event.lookup.similarity or 0.0) >= threshold - THRESHOLD_TOLERANCE
    ]
    # 0.1 to 0.2 ms for each pair
    verdicts = await asyncio.to_thread(lambda: [passes_guards(event) for event in above])
    known = [verdict for verdict in verdicts if verdict is not None]
    return {"similarity": threshold, **counts, "checked": len(known), "passed": sum(known)}
