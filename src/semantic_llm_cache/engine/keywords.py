"""The options as type checkers see them where a function takes ``**options``. Nothing imports this at run time.

Names, types and defaults of `SemanticCache` and `cache` are held to these and to the table in `options` by the tests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict

from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.config import TTL, TTLFunction
from semantic_llm_cache.engine.options import Mode, OnError, SingleFlight, VerifyMode
from semantic_llm_cache.metrics.pricing import Price
from semantic_llm_cache.similarity.base import Embedder
from semantic_llm_cache.storage.contract import StorageBackend

__all__ = [
    "CommonOptions", "DecoratorOptions", "DerivedOptions", "EngineOptions", "ModelOptions", "MoreOptions",
    "OwnModelOptions",
]  # fmt: skip


class FirstOptions(TypedDict, total=False):
    """What some functions also take by position."""

    similarity: float
    ttl: TTL | TTLFunction
    backend: StorageBackend | str | None
    namespace: str
    enabled: bool


class PlainOptions(TypedDict, total=False):
    """What a cache, a decorated function and a `CachedLLM` take alike, but for `FirstOptions`."""

    encryption_key: str | bytes | Sequence[str | bytes] | None
    embedder: Embedder | None
    guards: Any
    verify_band: tuple[float, float] | None
    verify_mode: VerifyMode
    max_error: float | None
    max_error_per_hit: float | None
    judge_error: float | tuple[float, float] | None
    noise: float | Literal["measure"] | None
    seed: int | None
    mode: Mode
    stale_while_revalidate: TTL
    stale_if_error: TTL
    jitter: float
    single_flight: SingleFlight
    on_event: Callable[[Lookup], object] | None
    on_error: OnError
    timeout: float | None
    version_of: Callable[[str], Any] | None
    evidence_overlap: float
    category: str | Callable[[str], str | Mapping[str, Any] | None] | None
    categories: Mapping[str, Mapping[str, Any] | None] | Literal["default"] | None
    prompt_template: str | re.Pattern[str] | None
    exact_slots: Iterable[str]
    redact: Callable[[str], str | None] | None
    cache_if: Callable[[Any], bool] | None
    price: Price


class CommonOptions(PlainOptions, total=False):
    """What a cache and a decorated function take, but for `FirstOptions`, `tags` and `depends_on`."""

    verify: Callable[..., Any] | None
    same_answer: Callable[..., Any] | None


class CacheOptions(TypedDict, total=False):
    """What only a cache takes."""

    clock: Callable[[], float] | None
    max_prompt: int
    max_response: int


class MoreOptions(CommonOptions, CacheOptions, total=False):
    """What a cache takes, but for `FirstOptions`."""

    tags: Iterable[str]
    depends_on: Mapping[str, Any] | Iterable[str]


class ModelOptions(PlainOptions, CacheOptions, total=False):
    """What takes a model of its own, which may judge, but for `FirstOptions`: a `CachedLLM`."""

    verify: Callable[..., Any] | Literal["model"] | None
    same_answer: Callable[..., Any] | Literal["model"] | None
    tags: Iterable[str]
    depends_on: Mapping[str, Any] | Iterable[str]


class OwnModelOptions(FirstOptions, ModelOptions, total=False):
    """What the doors around one model of a framework take."""


class EngineOptions(FirstOptions, MoreOptions, total=False):
    """What a cache takes."""


class DecoratorOptions(CommonOptions, total=False):
    """What `cache` takes, but for those that it also takes by position."""

    prompt: str | None
    ignore: Iterable[str]
    scope: Mapping[str, Any] | Callable[[], Any] | None
    version: str | int | None
    normalizer: Callable[[str], str] | None
    tags: Iterable[str] | Callable[..., Iterable[str]]
    depends_on: Mapping[str, Any] | Iterable[str] | Callable[..., Any]
    result_type: Any
    replay_delay: float | None


class DerivedOptions(FirstOptions, CacheOptions, DecoratorOptions, total=False):
    """What `SemanticCache.cache` takes."""

    key_func: Callable[..., str] | None
