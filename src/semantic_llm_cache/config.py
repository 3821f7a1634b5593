"""The plain records: `CacheConfig`, the settings, and `CacheEntry`, a stored answer; and spans of time as text."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from semantic_llm_cache.arguments import check_number, is_async, shown

__all__ = ["SCHEMA_VERSION", "CacheConfig", "CacheEntry", "check_similarity"]

SCHEMA_VERSION = 1
"""Version of the entry's form. Entries of another version are misses."""

THRESHOLD_TOLERANCE = 1e-6
"""Tolerance of a threshold: float32 sums differ in the last digits."""

TTL = int | float | timedelta | str | None
"""A time to live: seconds, a timedelta, text such as ``"1h30m"``, 0 to store nothing, None for no expiry."""

TTLFunction = Callable[[Any, Any], TTL]
"""Takes a fresh answer and its `Request`, and returns the answer's time to live."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
# Compiled when first used, by `re` itself: compiling at import would cost every start.
_PART = r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)"
_HELP = (
    'use seconds (3600), a timedelta, text such as "90s", "1h30m" or "7d", 0 to store nothing, or None for no expiry'
)


def parse_ttl(ttl: TTL, name: str = "ttl") -> float | None:
    """Return `ttl` in seconds, 0 for "do not store", or None for "never expires".

    Text is one or more numbers with the units ms, s, m, h, d, w, largest first or not, as in
    ``"1h30m"``.

    Raises:
        ValueError: negative, not finite, or unreadable text. The message names `name`.
        TypeError: another type.

    Example:
        >>> parse_ttl("1h30m")
        5400.0
    """
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float, timedelta, str)):
        raise TypeError(f"{name}={shown(ttl)} is of type {type(ttl).__name__}: {_HELP}")
    if isinstance(ttl, timedelta):
        seconds = ttl.total_seconds()
    elif isinstance(ttl, str):
        text = ttl.strip().lower().replace(" ", "")
        parts = re.findall(_PART, text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            raise ValueError(f"{name}={shown(ttl)} cannot be read: {_HELP}")
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    else:
        seconds = float(ttl) if abs(ttl) < 1e300 else math.inf
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"{name}={shown(ttl)} must be a span of time, zero or more: {_HELP}")
    return seconds


def check_ttl(ttl: TTL | TTLFunction, name: str = "ttl") -> float | TTLFunction | None:
    """Return what `parse_ttl` does, or a callable as it is. TypeError for an async one."""
    if not callable(ttl):
        return parse_ttl(ttl, name)
    if is_async(ttl):
        raise TypeError(f"{name}={shown(ttl)} must be a plain function of answer and request, not an async one")
    return ttl


def check_similarity(value: float, name: str = "similarity") -> float:
    """Return a threshold as float; ValueError or TypeError naming `name` when it is not in [0, 1]."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}={shown(value)} must be a number from 0 to 1 (1 means exact matches only)")
    if not 0.0 <= value <= 1.0:  # also refuses NaN
        raise ValueError(f"{name}={shown(value)} must lie from 0 to 1 (1 means exact matches only)")
    return float(value)


def _check_rate(value: float, name: str) -> None:
    check_number(value, name, "a price in USD per 1,000 tokens, zero or more", least=0)


@dataclass
class CacheConfig:
    """Settings of a cache, validated when made.

    Args:
        similarity_threshold: cosine from 0 to 1 at which a near entry counts as a hit; 1 is exact only.
        ttl: how long an answer is served, see `parse_ttl`; None means for ever, 0 that nothing is stored.
        namespace: name under which entries are kept and managed.
        enabled: False leaves every call uncached.
        key_func: replaces the exact key; called with the function's arguments, returns a string.
        input_cost_per_1k, output_cost_per_1k: prices in USD per 1,000 tokens, for the savings estimate.
        max_cache_size: most entries that a memory backend made from this config keeps; None means no limit.
        embedding_model: name of the sentence-embedding model.

    Raises:
        ValueError, TypeError: naming the argument.

    Example:
        >>> CacheConfig(similarity_threshold=0.95, ttl="1h").ttl
        3600.0
    """

    similarity_threshold: float = 1.0
    ttl: TTL = 3600
    namespace: str = "default"
    enabled: bool = True
    key_func: Callable[..., str] | None = None
    input_cost_per_1k: float = 0.001
    output_cost_per_1k: float = 0.002
    max_cache_size: int | None = None
    embedding_model: str = "all-MiniLM-L6-v2"

    def __post_init__(self) -> None:
        self.similarity_threshold = check_similarity(self.similarity_threshold, "similarity_threshold")
        self.ttl = parse_ttl(self.ttl)
        if not isinstance(self.namespace, str):
            raise TypeError(f"namespace={shown(self.namespace)} must be a string")
        if not self.namespace:
            raise ValueError("namespace='' must be a non-empty string")
        if not isinstance(self.enabled, bool):
            raise TypeError(f"enabled={shown(self.enabled)} must be True or False")
        if self.key_func is not None and not callable(self.key_func):
            raise TypeError(f"key_func={shown(self.key_func)} must be a callable that returns a string")
        _check_rate(self.input_cost_per_1k, "input_cost_per_1k")
        _check_rate(self.output_cost_per_1k, "output_cost_per_1k")
        if self.max_cache_size is not None and (
            isinstance(self.max_cache_size, bool) or not isinstance(self.max_cache_size, int) or self.max_cache_size < 1
        ):
            raise ValueError(f"max_cache_size={shown(self.max_cache_size)} must be a whole number of at least 1")
        if not isinstance(self.embedding_model, str) or not self.embedding_model:
            raise ValueError(f"embedding_model={shown(self.embedding_model)} must name a model")


@dataclass(slots=True)
class CacheEntry:
    """A stored answer.

    Args:
        prompt: the text that was asked.
        response: the answer. Inside a backend it may be held encoded.
        embedding: vector of the prompt, any sequence of floats; None when only exact hits are wanted.
        created_at: wall time of the store, in seconds since the epoch; expiry counts from here.
        ttl: seconds to live; None means for ever.
        namespace: name for management (`clear`, `stats`).
        hit_count: how often it has been served.
        input_tokens, output_tokens: what the original call used.
        last_accessed: wall time of the last hit, None when there was none.
        scope: hash of who asked and how; near matching stays inside one scope.
        embedder: fingerprint of the model that made `embedding`.
        kind: ``"value"``, or ``"stream"`` for a recorded stream of chunks.
        tags: labels for `invalidate(tags=...)`.
        aliases: other prompts verified to have this answer.
        duration_ms: how long the original call took, in milliseconds.
        cost_usd: what the original call cost.
        schema_version: form of this record.
    """

    prompt: str
    response: Any
    embedding: Any = field(default=None, compare=False, repr=False)
    created_at: float = field(default_factory=time.time)
    ttl: float | None = None
    namespace: str = "default"
    hit_count: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    last_accessed: float | None = None
    scope: str = ""
    embedder: str = ""
    kind: str = "value"
    tags: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    duration_ms: float = 0.0
    cost_usd: float = 0.0
    schema_version: int = SCHEMA_VERSION

    def is_expired(self, now: float | None = None) -> bool:
        """Return whether the entry has expired at `now` (wall seconds; default: the system clock)."""
        if self.ttl is None:
            return False
        return (time.time() if now is None else now) >= self.created_at + self.ttl

    def estimate_cost(self, input_cost: float, output_cost: float) -> float:
        """Return what the call cost in USD, from prices per 1,000 tokens.

        Example:
            >>> CacheEntry("p", "r", input_tokens=2000, output_tokens=500).estimate_cost(0.001, 0.002)
            0.003
        """
        return self.input_tokens / 1000 * input_cost + self.output_tokens / 1000 * output_cost
