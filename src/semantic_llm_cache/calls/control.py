"""What one call may ask of the cache, in the style of HTTP's ``Cache-Control``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from semantic_llm_cache.arguments import shown, unknown
from semantic_llm_cache.config import check_similarity, parse_ttl

if TYPE_CHECKING:
    from semantic_llm_cache.config import CacheEntry

__all__ = ["HEADER", "NOTHING_ASKED", "NOT_CACHED", "CacheControl", "cache_control", "obeyed"]

HEADER = "x-cache-control"
"""The name of the request header. It never reaches the provider."""

NOT_CACHED = "only-if-cached was asked for, and the answer is not in the cache"

_FLAGS = ("no-cache", "no-store", "only-if-cached")
_VALUES = ("max-age", "ttl", "similarity")


@dataclass(frozen=True)
class CacheControl:
    """What one call asks of the cache.

    Only the methods here know what a directive means; the rest of the code asks them.

    Attributes:
        no_cache: do not answer from the cache; store the fresh answer.
        no_store: do not store the answer.
        only_if_cached: answer from the cache or fail: with status 504 over HTTP, with `CacheNotFoundError` elsewhere.
        max_age: the highest age of an answer to accept, in seconds.
        ttl: how long to keep the answer, in seconds, instead of the cache's TTL; 0 stores nothing, None if not given.
        similarity: the threshold, instead of the cache's own.
    """

    no_cache: bool = False
    no_store: bool = False
    only_if_cached: bool = False
    max_age: float | None = None
    ttl: float | None = None
    similarity: float | None = None

    @property
    def plain(self) -> bool:
        """Whether the call takes the usual path."""
        return not (self.no_cache or self.no_store or self.only_if_cached) and self.max_age is None

    @property
    def may_look(self) -> bool:
        """Whether an answer from the cache may be used at all."""
        return not self.no_cache

    def may_serve(self, entry: CacheEntry, now: float) -> bool:
        """Return whether this entry's answer may be used at `now`, in wall seconds."""
        return self.max_age is None or now - entry.created_at <= self.max_age

    @property
    def may_share(self) -> bool:
        """Whether this call may share a fresh answer with other callers, in either direction."""
        return not (self.no_cache or self.no_store)

    @property
    def may_call(self) -> bool:
        """Whether the function or the model may be called."""
        return not self.only_if_cached

    @property
    def may_store(self) -> bool:
        """Whether the fresh answer may be stored."""
        return not self.no_store and self.ttl != 0

    @classmethod
    def read(cls, given: Any) -> CacheControl:
        """Return what a header, a collection of directives, or a mapping asks for.

        Raises:
            ValueError, TypeError: a directive is unknown, or a value cannot be read.

        Example:
            >>> CacheControl.read("no-store, max-age=60")
            CacheControl(no_cache=False, no_store=True, only_if_cached=False, max_age=60.0, ttl=None, similarity=None)
        """
        if isinstance(given, cls):
            return given
        found: dict[str, Any] = {}
        for name, value in _pairs(given):
            if name in _FLAGS:
                if value is not False:
                    found[name.replace("-", "_")] = True
            elif name == "similarity":
                try:
                    found[name] = check_similarity(float(value))
                except (TypeError, ValueError, OverflowError):
                    raise ValueError(f"cache_control: similarity={shown(value)} must be a number from 0 to 1") from None
            elif name in _VALUES:
                number = value
                if isinstance(value, str) and value.replace(".", "", 1).isdigit():
                    number = float(value)
                try:
                    seconds = parse_ttl(number)
                except (TypeError, ValueError) as error:
                    raise ValueError(f"cache_control: {name}={shown(value)}: {error}") from None
                if seconds is None:
                    raise ValueError(f"cache_control: {name} needs a number of seconds, as in {name}=60")
                if name == "max-age" and seconds == 0:
                    found["no_cache"] = True
                    continue
                key = name.replace("-", "_")
                # Of several, the strictest: a header may be a list that several programs have added to.
                found[key] = min(seconds, found.get(key, seconds)) if key == "max_age" else seconds
            else:
                raise ValueError(f"cache_control: {unknown('directive', name, _FLAGS + _VALUES)}")
        return cls(**found)


NOTHING_ASKED = CacheControl()
"""The control of a call that asks for nothing."""


def _pairs(given: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(given, Mapping):
        items: Iterable[Any] = given.items()
    elif isinstance(given, str):
        items = [part for part in given.split(",") if part.strip()]
    elif isinstance(given, Iterable) and not isinstance(given, (bytes, bytearray)):
        items = given
    else:
        raise TypeError(f"cache_control={shown(given)} must be directives: a string, a set, or a mapping")
    for item in items:
        if isinstance(item, str):
            name, _, value = item.partition("=")
            yield name.strip().lower(), value.strip().strip('"') or None
        elif isinstance(item, tuple) and len(item) == 2:
            name, value = item
            yield str(name).strip().lower().replace("_", "-"), value
        else:
            raise TypeError(f"cache_control={shown(given)} must be directives: {shown(item)} is none")


def obeyed(settings: Any, asks: CacheControl | None) -> Any:
    """Return the settings of a call with what `asks` changes; the given settings are not modified."""
    if asks is None or asks == NOTHING_ASKED:
        return settings
    changed: dict[str, Any] = {"control": None if asks.plain else asks}
    if asks.ttl is not None:
        changed["ttl"] = asks.ttl
    if asks.similarity is not None:
        changed["similarity"] = asks.similarity
    return replace(settings, **changed)


def cache_control(*directives: str, **values: Any) -> dict[str, str]:
    """Return the header that asks this of the cache, for an SDK's ``extra_headers=``.

    Raises:
        ValueError, TypeError: a directive is unknown, or a value cannot be read.

    Example:
        >>> cache_control("no-store", max_age=60)
        {'x-cache-control': 'no-store, max-age=60'}
    """
    pairs = [(name, None) for name in directives] + list(values.items())
    CacheControl.read(list(directives))
    CacheControl.read(dict(values))
    parts = [name if value is None or value is True else f"{name.replace('_', '-')}={value}" for name, value in pairs]
    return {HEADER: ", ".join(parts)}
