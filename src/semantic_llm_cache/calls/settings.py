"""Settings of an engine, checked when given; and those that may differ from call to call."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from semantic_llm_cache.arguments import check_callable, check_number, check_tags, shown
from semantic_llm_cache.calls.context import asked_control, is_set, overrides
from semantic_llm_cache.calls.control import CacheControl, obeyed

__all__ = ["CallSettings", "check_callable", "check_single_flight", "check_tags", "check_timeout", "current"]


@dataclass(slots=True)
class CallSettings:
    """What may differ from call to call."""

    similarity: float
    ttl: float | None
    enabled: bool
    target: Any = Any
    tags: tuple[str, ...] = ()
    control: CacheControl | None = None


def check_timeout(timeout: float | None) -> float | None:
    """Return a limit in seconds, or None for none."""
    if timeout is None or (isinstance(timeout, float) and timeout == math.inf):
        return timeout
    return check_number(timeout, "timeout", "more than zero seconds, or None for no limit", above=0)


def current(engine: Any, settings: CallSettings, asks: CacheControl | None = None) -> tuple[CallSettings, str | None]:
    """Return the settings of a call made at this moment, and the namespace of a context if one names it.

    Args:
        engine: whose settings they are.
        settings: of the door; they stay as they are.
        asks: what the call itself asks of the cache, in place of what a context around it asks.

    Raises:
        EmbeddingUnavailableError: near matching is asked for, and there is no usable embedder.
    """
    context = overrides.get()
    if context is None and asks is None:
        return settings, None
    changed: dict[str, Any] = {}
    if context is not None:
        names = ("similarity", "ttl", "enabled")
        changed = {name: getattr(context, name) for name in names if is_set(getattr(context, name))}
    if engine.disabled:
        changed["enabled"] = False
    settings = obeyed(replace(settings, **changed), asked_control() if asks is None else asks)
    if settings.enabled and settings.similarity < 1:
        engine.need_embedder()
    return settings, context.namespace if context is not None and is_set(context.namespace) else None


def check_single_flight(value: str) -> str:
    """Return ``"process"`` or ``"shared"``; ValueError for anything else."""
    if value not in ("process", "shared"):
        raise ValueError(
            f"single_flight={shown(value)} must be 'process', or 'shared' for one call among all processes"
        )
    return value
