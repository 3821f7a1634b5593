"""`Lookup`: what happened to a call and why."""

from __future__ import annotations

import copy
import pickle
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, replace
from typing import Any

from semantic_llm_cache.calls.identity import Place, new_id

__all__ = ["HITS", "Lookup", "forget", "last_lookup", "latest", "put", "remember"]

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
        id: names this call; see `report_wrong`.
        key: exact key of the request. `entry_key`: key of the entry that was served.
        namespace, scope, prompt: of the request; `scope` is a hash.
        duration_ms: how long the caller waited. `saved_ms`, `saved_usd`: what the hit saved.
        stored: whether a fresh answer was stored.
        stored_reason: why a fresh answer was not stored: one of the words in ``docs/options.md``, and after a colon
            what there is to say. ``""`` when it was stored, or when there was none (a hit).
        category: the category of the prompt, None if it has none in particular; see the option `categories`.
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
    category: str | None = None
    would: str | None = None
    would_be_right: bool | None = None
    response: Any = field(default=None, repr=False, compare=False)
    handle: Any = field(default=None, repr=False, compare=False)
    _place: Place | None = field(default=None, repr=False, compare=False)
    _watch: Any = field(default=None, repr=False, compare=False)
    # A list, so that copies share the id even if it is made later, and threads agree on it without a lock.
    _id: list[str] = field(default_factory=list, repr=False, compare=False)

    @property
    def id(self) -> str:
        """The id of this call: unique, 55 characters or fewer, of letters, digits, ``-`` and ``_``.

        Copies and pickles have the same one. `report_wrong` and `report_right` take it, in any process that uses the
        same backend. It holds a hash of the request and the time of the store, no prompt and no secret.
        """
        made = self._id
        if not made:
            made.append(new_id(self.outcome == "near", self._place))
        return made[0]

    def has_id(self, id: str) -> bool:
        """Return whether this is the id of this call. Makes none: one that nobody has read is not known to anybody."""
        return self._id == [id]

    @property
    def hit(self) -> bool:
        """True when the caller was answered without a call of its own."""
        return self.outcome in HITS

    @property
    def tier(self) -> str | None:
        """``"exact"`` or ``"near"`` when an entry was served, else None."""
        return self.outcome if self.outcome in ("exact", "near") else None

    def without_response(self) -> Lookup:
        """Return this record without the answer, which it would keep alive."""
        return self if self.response is None else replace(self, response=None)

    def __copy__(self) -> Lookup:
        return replace(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Lookup:
        # The handle refers to the engine, which is not copied.
        return replace(self, response=copy.deepcopy(self.response, memo), _id=[self.id])

    def __getstate__(self) -> dict[str, Any]:
        state = {item.name: getattr(self, item.name) for item in fields(self)}
        return {**state, "handle": None, "_watch": None, "response": _if_picklable(self.response), "_id": [self.id]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for item in fields(self):
            made = [] if item.name == "_id" else item.default
            setattr(self, item.name, state.get(item.name, made))


def _if_picklable(value: Any) -> Any:
    try:
        pickle.dumps(value)
    except Exception:  # whatever the value's own code raises
        return None
    return value


# Holds a record: a list of a tuple, from which the function that is its first item makes the `Lookup`, and of the
# `Lookup` itself once somebody has asked for it. An exact hit in memory takes less than a microsecond, and a `Lookup`
# that nobody reads would take as long again.
#
# A task or a copied context inherits the variable, and so the same list. Whoever makes the next call there puts None
# in place of the tuple, and then its own list in place of this one. So nobody reads a record after a later call that
# it could take for its own.
_last: ContextVar[list[Any] | None] = ContextVar("semantic_llm_cache.last_lookup", default=None)
latest = _last.get
put = _last.set


def remember(lookup: Lookup) -> None:
    """Make `lookup` the result of `last_lookup` in this context. Its answer is not kept."""
    forget()
    put([(), lookup.without_response()])


def forget() -> None:
    """Make `last_lookup` return None here, and in all contexts that share its present result: a call begins."""
    before = latest()
    if before is not None:
        before[:] = [None]
        put(None)


def last_lookup() -> Lookup | None:
    """Return what happened to the last cached call made in this context (task or thread), or None.

    `asyncio.gather`, `create_task`, `to_thread`, LangChain's chains and, before Python 3.12, `wait_for` run a call in
    a copy of the context. Such a call is visible there only, and from then on this returns None here, not an earlier
    call. Use ``with_lookup`` of the cached function, or `CacheContext.lookups`: they see calls in other contexts too.

    A stream counts when it has been read to its end. A thread that starts without a copy of the context
    (``run_in_executor``, ``ThreadPoolExecutor.submit``) shares nothing with the code that starts it: a call there
    changes nothing here, so use ``with_lookup`` for it.

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
    record = latest()
    if record is None:
        return None
    made, *lookups = record[:]  # another thread may change it meanwhile
    if made is None:
        return None
    if not lookups:
        record.append(made[0](made))
        lookups = record[1:]  # of two threads, the first has made it
    return lookups[0] if lookups else None
