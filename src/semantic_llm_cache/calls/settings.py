"""The settings that may differ from call to call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from semantic_llm_cache.calls.context import asked_control, is_set, overrides
from semantic_llm_cache.calls.control import NOTHING_ASKED, CacheControl, obeyed
from semantic_llm_cache.calls.evidence import Evidence
from semantic_llm_cache.config import TTLFunction

__all__ = ["CallSettings", "current"]


@dataclass(slots=True, eq=False, repr=False)
class CallSettings:
    """What may differ from call to call.

    Attributes:
        similarity, ttl, enabled: as in the options.
        target: the type that answers are rebuilt to.
        tags: labels of the stored entries, as they were given.
        own_tags: labels that the door adds: the function, the model.
        control: what the call asks of the cache; None if nothing special.
        evidence: what the answer rests on; None if nothing is said about it.
        returned: the `Returned` of the function that is called; None if no function is known.
        category: the category of the prompt; None if it has none in particular, or is not known yet.
        fixed: the settings that a context or the call itself has given; no category changes them.
        ruled: whether the settings of the category have been applied.
        own_ttl: whether the TTL is that of the category.
        most_age: seconds from which on a near answer is too old for the category; None for no limit.
    """

    similarity: float
    ttl: float | TTLFunction | None
    enabled: bool
    target: Any = Any
    tags: tuple[str, ...] = ()
    own_tags: tuple[str, ...] = ()
    control: CacheControl | None = None
    evidence: Evidence | None = None
    returned: Any = None
    category: str | None = None
    fixed: frozenset[str] = frozenset()
    ruled: bool = False
    own_ttl: bool = False
    most_age: float | None = None

    @property
    def asks(self) -> CacheControl:
        """What the call asks of the cache: `may_serve`, `may_call`, `may_store` and the rest."""
        return self.control if self.control is not None else NOTHING_ASKED


class _Engine(Protocol):
    disabled: bool
    changes: Mapping[str, Any]

    def need_embedder(self) -> Any: ...


def current(
    engine: _Engine, settings: CallSettings, asks: CacheControl | None = None
) -> tuple[CallSettings, str | None]:
    """Return the settings of a call made now, and the namespace if a context sets one.

    Args:
        engine: the engine whose settings apply; its `changes` replace what it was made with.
        settings: the settings of the door; they are not modified.
        asks: what the call itself asks of the cache; it replaces what a context around it asks.

    Raises:
        EmbeddingUnavailableError: near matching is requested, but there is no usable embedder.
    """
    if engine.changes:
        settings = replace(settings, **engine.changes)
    context = overrides.get()
    if context is None and asks is None:
        return settings, None
    changed: dict[str, Any] = {}
    if context is not None:
        names = ("similarity", "ttl", "enabled", "category")
        changed = {name: getattr(context, name) for name in names if is_set(getattr(context, name))}
        if is_set(context.depends_on):
            evidence = settings.evidence or Evidence({})
            changed["evidence"] = evidence.plus(context.depends_on)
    if engine.disabled:
        changed["enabled"] = False
    asks = asked_control() if asks is None else asks
    asked = () if asks is None else [name for name in ("similarity", "ttl") if getattr(asks, name) is not None]
    fixed = settings.fixed.union(changed, asked)
    settings = obeyed(replace(settings, **changed, fixed=fixed), asks)
    if settings.enabled and settings.similarity < 1:
        engine.need_embedder()
    return settings, context.namespace if context is not None and is_set(context.namespace) else None
