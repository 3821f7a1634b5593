"""`Call`: one call on its way through the cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

from semantic_llm_cache.calls.settings import CallSettings
from semantic_llm_cache.engine.outcome import Found
from semantic_llm_cache.keys.request import Request

__all__ = ["Call"]


def _nothing_yet() -> Found:
    return Found("miss", "")


@dataclass(slots=True)
class Call:
    """One call on its way through the cache.

    Attributes:
        request: what is asked.
        settings: of this call.
        function: makes the answer; takes no arguments.
        plain: True for plain code, which waits in its own thread; False on an event loop.
        started: when the call began, by `perf_counter`.
        found: what the last search for it found.
    """

    request: Request
    settings: CallSettings
    function: Callable[[], Any] | None = None
    plain: bool = False
    started: float = field(default_factory=perf_counter)
    found: Found = field(default_factory=_nothing_yet)

    @property
    def needs_vector(self) -> bool:
        """Whether the request is embedded: near matching is on, and there is a text."""
        return self.settings.similarity < 1 and bool(self.request.text)

    def exact(self) -> Call:
        """Return the same call with equal text only, and nothing found yet."""
        return replace(self, settings=replace(self.settings, similarity=1.0), found=_nothing_yet())
