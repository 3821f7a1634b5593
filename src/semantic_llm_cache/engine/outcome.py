"""What a search found, what a call ended with, and the markers for the absence of a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from semantic_llm_cache.metrics.pricing import Call as Used

if TYPE_CHECKING:
    from semantic_llm_cache.calls.identity import Place
    from semantic_llm_cache.config import CacheEntry
    from semantic_llm_cache.matching.decider import Choice

__all__ = [
    "AGAIN", "ALONE", "MISS", "NOTHING_USED", "Failure", "Found", "Fresh", "Outage", "Outcome", "Put", "Sentinel",
    "Unreadable", "Used",
]  # fmt: skip


class Sentinel:
    """A marker for the absence of a value."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


MISS: Any = Sentinel("MISS")
"""There is no answer."""

AGAIN: Any = Sentinel("AGAIN")
"""The answer of the call in flight does not fit: look again."""

ALONE: Any = Sentinel("ALONE")
"""Stands for an answer that cannot be shared: each caller makes its own call."""


NOTHING_USED = Used(0, 0, 0.0)
"""What a call used of which nothing is known: input tokens, output tokens, USD."""


class Outage(Exception):
    """Storage or embedder failed, and the caller must not notice."""


class Unreadable(Outage):
    """One entry cannot be written or read back; the storage itself works."""


class Failure:
    """An exception, passed on as a value: the driver of the steps raises it at the end.

    A generator cannot pass on every exception (StopIteration ends it). A traceback through its frames would also keep
    the flight alive, which holds the exception: a cycle.
    """

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


@dataclass(slots=True, eq=False, repr=False)
class Found:
    """What a search found.

    Attributes:
        outcome: as in `Lookup`.
        reason: why, as text.
        value: the answer of a hit, the caller's own copy.
        entry, entry_key: the entry served.
        place: which entry holds the answer: the one served, or the one that a miss stored.
        similarity, nearest_prompt: of the entry served, or on a miss of the nearest.
        vector, embedder: of the request, once it has been embedded.
        choice: what the near tier decided.
        late: how many seconds ago a stale answer expired.
        fallback: a stale answer, in case the call fails.
        unread: the storage could not be read, so there is no point in writing to it now.
        objection: why a near entry was left out whose evidence has changed.
        lease: the `Holding` under which the function runs, with ``single_flight="shared"``.
    """

    outcome: str
    reason: str
    value: Any = None
    entry: CacheEntry | None = None
    entry_key: str | None = None
    place: Place | None = None
    similarity: float | None = None
    vector: Any = None
    embedder: str = ""
    nearest_prompt: str | None = None
    choice: Choice | None = None
    late: float = 0.0
    fallback: Found | None = None
    unread: bool = False
    objection: str = ""
    lease: Any = None

    def release(self) -> None:
        """Release the lease, if there is one."""
        if self.lease is not None:
            self.lease.release()


class Fresh(NamedTuple):
    """A fresh answer, on its way into the cache.

    `shared` is its immutable or `Encoded` form, which can be shared; `ALONE` if it has none. `refused` says why
    `cache_if`, its `ttl` or the call do not want it stored; ``""`` if they do. `ttl` is its time to live in seconds,
    None for no expiry.
    """

    value: Any
    shared: Any
    refused: str
    duration_ms: float
    ttl: float | None = None

    @property
    def wanted(self) -> bool:
        """Whether `cache_if` and the call want it stored."""
        return not self.refused


class Put:
    """Whether an answer was stored, what its call has used, and why it was not stored."""

    __slots__ = ("refused", "stored", "used")

    def __init__(self, stored: bool, used: Used, refused: str = "") -> None:
        self.stored = stored
        self.used = used
        self.refused = refused


class Outcome(NamedTuple):
    """What a flight ended with, for its waiters.

    `original` is the leader's own object; the others get copies of `shared`. `refused` says why it was not stored.
    """

    found: Found
    original: Any
    shared: Any
    duration_ms: float
    used: Used
    stored: bool
    refused: str = ""
