"""`Lookup`: what happened to a call and why."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

__all__ = ["HITS", "Lookup", "last_lookup", "remember"]

HITS = frozenset({"exact", "near", "coalesced", "stale"})


@dataclass(slots=True)
class Lookup:
    """What happened to one call and why.

    Attributes:
        outcome: ``"exact"``, ``"near"``, ``"coalesced"`` (joined another call in flight), ``"stale"``,
            ``"miss"``, ``"bypass"`` (caching was off), or ``"error"`` (the cache failed, the function was called).
        reason: why, as text: ``"nearest 0.93 < 0.95"``.
        similarity: max(0, cosine) to the matched prompt, or on a miss to the nearest; None when nothing
            was compared.
        matched_prompt: the prompt whose answer was served, or on a miss the nearest one.
        age: seconds since the served answer was stored.
        policy: what decided about near entries.
        key: exact key of the request. `entry_key`: key of the entry that was served.
        namespace, scope, prompt: of the request; `scope` is a hash.
        duration_ms: how long the caller waited. `saved_ms`, `saved_usd`: what the hit saved.
        stored: whether a fresh answer was stored.
        stored_reason: why a fresh answer was not stored: one of the words in ``docs/options.md``, and after a colon
            what there is to say. ``""`` when it was stored, or when there was none (a hit).
        would, would_be_right: in shadow mode, the outcome that the cache would have had, and whether its
            answer agreed with the fresh one (None: unknown).
        response: the answer, if it was a plain lookup that found one (`SemanticCache.lookup`).
    """

    outcome: str
    reason: str = ""
    similarity: float | None = None
    matched_prompt: str | None = field(default=None, repr=False)
    age: float | None = None
    policy: str = ""
    key: str = ""
    entry_key: str | None = None
    namespace: str = "default"
    scope: str = ""
    prompt: str = field(default="", repr=False)
    duration_ms: float = 0.0
    saved_ms: float = 0.0
    saved_usd: float = 0.0
    stored: bool = False
    stored_reason: str = ""
    would: str | None = None
    would_be_right: bool | None = None
    response: Any = field(default=None, repr=False, compare=False)
    handle: Any = field(default=None, repr=False, compare=False)

    @property
    def hit(self) -> bool:
        """True when the caller was answered without a call of its own."""
        return self.outcome in HITS

    @property
    def tier(self) -> str | None:
        """``"exact"`` or ``"near"`` when an entry was served, else None."""
        return self.outcome if self.outcome in ("exact", "near") else None


# Either a Lookup, or the arguments to make one from on request: an exact hit in memory
# takes some two microseconds, and a record that nobody reads would take a third of that.
_last: ContextVar[Any] = ContextVar("semantic_llm_cache_last_lookup", default=None)
remember = _last.set


def last_lookup() -> Lookup | None:
    """Return what happened to the last cached call made in this context (task or thread), or None.

    Example:
        >>> import asyncio
        >>> from semantic_llm_cache import cache, last_lookup, SemanticCache
        >>> @SemanticCache("memory://").cache()
        ... async def ask(prompt: str) -> str:
        ...     return prompt.upper()
        >>> async def main():
        ...     await ask("hello")
        ...     await ask("hello")
        ...     return last_lookup().outcome
        >>> asyncio.run(main())
        'exact'
    """
    found = _last.get()
    if found is None or isinstance(found, Lookup):
        return found
    make, arguments = found[0], found[1:]
    lookup: Lookup = make(*arguments)
    return lookup
