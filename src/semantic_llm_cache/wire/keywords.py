"""The options of `WireCache` as type checkers see them. Nothing imports this at run time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from semantic_llm_cache.engine.engine import Engine
from semantic_llm_cache.engine.keywords import EngineOptions
from semantic_llm_cache.wire.cache import WireCache
from semantic_llm_cache.wire.checks import ToolCalls
from semantic_llm_cache.wire.principals import Given

__all__ = ["TransportOptions", "WireOptions"]


class WireOptions(EngineOptions, total=False):
    """What `WireCache` takes."""

    cache: Engine | None
    history: str
    tool_calls: ToolCalls
    max_temperature: float | None
    share_across_keys: bool
    principal: Given
    ignore: Iterable[str]
    neutral_headers: Iterable[str]
    scope: Mapping[str, Any] | Callable[[], Any] | None
    replay_delay: float | None


class TransportOptions(WireOptions, total=False):
    """What ``wrap`` takes: a door, or the options of one."""

    door: WireCache | None
