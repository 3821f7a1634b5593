"""`CacheContext`: other settings for every cached call made inside a block."""

from __future__ import annotations

from collections import deque
from contextvars import ContextVar
from threading import Lock
from typing import Any, NoReturn

from semantic_llm_cache.arguments import SYNONYMS
from semantic_llm_cache.arguments import unknown as unknown_name
from semantic_llm_cache.calls.categories import check_category
from semantic_llm_cache.calls.control import CacheControl
from semantic_llm_cache.calls.evidence import joined, read_dependencies
from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.config import TTL, CacheConfig, TTLFunction, check_similarity, check_ttl

__all__ = ["CacheContext", "asked_control", "overrides"]


class _Unset:
    """The default of settings that stay as they are outside."""

    def __repr__(self) -> str:
        return "UNSET"  # in the signature that help() shows


_UNSET: Any = _Unset()
_MOST_LOOKUPS = 10_000
_NAMES = ("similarity", "ttl", "namespace", "enabled", "cache_control", "depends_on", "category")


class _Overrides:
    """The settings in force, and the contexts that record."""

    __slots__ = (
        "cache_control", "category", "context", "contexts", "depends_on", "enabled", "namespace", "outer", "similarity",
        "ttl",
    )  # fmt: skip

    def __init__(self, outer: _Overrides | None, context: CacheContext) -> None:
        for name in _NAMES:
            value = getattr(context, name)
            if value is _UNSET and outer is not None:
                value = getattr(outer, name)
            setattr(self, name, value)
        if outer is not None and outer.depends_on is not _UNSET:
            self.depends_on = joined(outer.depends_on, self.depends_on)
        self.outer = outer
        self.context = context
        known = outer.contexts if outer else ()
        self.contexts: tuple[CacheContext, ...] = known if context in known else (*known, context)

    similarity: Any
    ttl: Any
    namespace: Any
    enabled: Any
    cache_control: Any
    depends_on: Any
    category: Any

    def record(self, lookup: Lookup) -> None:
        for context in self.contexts:
            context._record(lookup)


overrides: ContextVar[_Overrides | None] = ContextVar("semantic_llm_cache.overrides", default=None)


class CacheContext:
    """Overrides settings of every cached call made inside, also in tasks started there.

    Args:
        similarity: the threshold of near matching.
        ttl: the TTL of answers stored inside; 0 stores none.
        namespace: separates the calls made inside from those outside. It only splits further: two
            functions that share nothing outside share nothing inside.
        enabled: False lets the calls through.
        cache_control: what all calls inside ask of the cache, through any door, in the style of
            HTTP: ``"no-cache"`` (call again, store the answer), ``"no-store"``, ``"only-if-cached"``
            (`CacheNotFoundError` if there is no answer, or status 504 through a client), ``"max-age=60"``,
            ``"ttl=1h"``, ``"similarity=0.9"``; a string with commas, a set, or a mapping. A header of a client's
            own call takes precedence.
        depends_on: what the answers of all calls inside rest on: names with versions, ``{"doc:17": "v3"}``, or names
            alone. See the option of the same name. Nested contexts add to it.
        category: the name of the category of all calls inside.

    Settings that are not given stay unchanged; nested contexts merge. `lookups` lists what happened to the calls
    (the last 10,000), `stats` counts them.

    Raises:
        ValueError, TypeError: an argument is not valid; the message names it.

    Example:
        >>> with CacheContext(similarity=1.0) as context:
        ...     pass
        >>> context.stats["hits"]
        0
        >>> with CacheContext(cache_control="no-store, max-age=60"):
        ...     pass
    """

    def __init__(
        self,
        similarity: float = _UNSET,
        ttl: TTL | TTLFunction = _UNSET,
        namespace: str = _UNSET,
        enabled: bool = _UNSET,
        cache_control: Any = _UNSET,
        depends_on: Any = _UNSET,
        category: str = _UNSET,
        **unknown: NoReturn,
    ) -> None:
        for name in unknown:
            raise TypeError(unknown_name("option", name, _NAMES, SYNONYMS))
        self.similarity = similarity if similarity is _UNSET else check_similarity(similarity)
        self.ttl = ttl if ttl is _UNSET else check_ttl(ttl)
        self.namespace = namespace if namespace is _UNSET else CacheConfig(namespace=namespace).namespace
        if enabled is not _UNSET and not isinstance(enabled, bool):
            raise TypeError(f"enabled={enabled!r} must be True or False")
        self.enabled = enabled
        self.cache_control = cache_control if cache_control is _UNSET else CacheControl.read(cache_control)
        self.depends_on = depends_on if depends_on is _UNSET else read_dependencies(depends_on)
        self.category = category if category is _UNSET else check_category(category)
        self._lookups: deque[Lookup] = deque(maxlen=_MOST_LOOKUPS)
        self._counts: dict[str, int] = {}
        self._lock = Lock()

    @property
    def lookups(self) -> list[Lookup]:
        """What happened to the calls made inside, oldest first."""
        return list(self._lookups)

    @property
    def stats(self) -> dict[str, Any]:
        """Counts of the calls made inside: hits, misses, hit_rate, and hits by kind."""
        counts = self._counts
        hits = sum(counts.get(name, 0) for name in ("exact", "near", "coalesced", "stale"))
        misses = counts.get("miss", 0) + counts.get("error", 0)
        return {
            "hits": hits,
            "misses": misses,
            "hit_rate": hits / (hits + misses) if hits + misses else 0.0,
            "total_requests": hits + misses,
            "exact_hits": counts.get("exact", 0),
            "near_hits": counts.get("near", 0),
            "coalesced_hits": counts.get("coalesced", 0),
            "bypassed": counts.get("bypass", 0),
            "errors": counts.get("error", 0),
        }

    def _record(self, lookup: Lookup) -> None:
        with self._lock:  # calls may come from many threads
            self._lookups.append(lookup)
            self._counts[lookup.outcome] = self._counts.get(lookup.outcome, 0) + 1

    def __enter__(self) -> CacheContext:
        overrides.set(_Overrides(overrides.get(), self))
        return self

    def __exit__(self, *exc: object) -> None:
        # Not with a token: several tasks may be inside one context, and a fixture may leave in another task
        # than it entered in.
        current = overrides.get()
        if current is not None and current.context is self:
            overrides.set(current.outer)

    async def __aenter__(self) -> CacheContext:
        return self.__enter__()

    async def __aexit__(self, *exc: object) -> None:
        self.__exit__()


def asked_control() -> CacheControl | None:
    """Return what the contexts around a call ask of the cache, or None."""
    context = overrides.get()
    if context is None or context.cache_control is _UNSET:
        return None
    asks: CacheControl = context.cache_control
    return asks


def is_set(value: Any) -> bool:
    """Return whether a context gave this setting."""
    return value is not _UNSET
