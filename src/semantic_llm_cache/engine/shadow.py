"""Shadow mode: every call is made, and what the cache would have answered is compared with what came."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from time import perf_counter
from typing import Any

from semantic_llm_cache.calls import lookup as lookups
from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.calls.settings import CallSettings
from semantic_llm_cache.engine.leases import Leasing
from semantic_llm_cache.engine.search import Found
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.runtime import background

__all__ = ["Shadowing", "maybe_await"]


class Shadowing(Leasing):
    """The part of an engine that only watches."""

    async def _shadow(self, request: Request, call: Callable[[], Any], settings: CallSettings, started: float) -> Any:
        """Call in any case; note what the cache would have answered, and whether that agrees."""
        found = await self.find(request, settings)
        began = perf_counter()
        value = await maybe_await(call())
        took = (perf_counter() - began) * 1000
        await self._shadow_ended(request, settings, found, value, took, started)
        return value

    def _shadow_blocking(
        self, request: Request, call: Callable[[], Any], settings: CallSettings, started: float
    ) -> Any:
        found = background.run(self.find(request, settings))
        began = perf_counter()
        value = call()
        took = (perf_counter() - began) * 1000
        lookup = background.run(self._shadow_ended(request, settings, found, value, took, started))
        lookups.remember(lookup)
        return value

    async def _shadow_ended(
        self, request: Request, settings: CallSettings, found: Found, value: Any, took: float, started: float
    ) -> Lookup:
        would, right, stored = found.outcome, None, False
        if would in ("exact", "near"):
            assert found.entry is not None
            right = await self.compare(value, found.entry.response, settings)
            if self.trust.bounded and right is not None and found.choice is not None:
                await self.observe(found.choice, right)
        elif would == "miss":
            # Only what the cache would have stored is stored: its hits are then those it would have had.
            stored = (await self.admit(request, settings, value, found, took)).stored
        lookup = self._lookup(request, settings, found, started)
        lookup.outcome, lookup.would, lookup.would_be_right = "miss", would, right
        lookup.saved_ms = lookup.saved_usd = 0.0
        lookup.stored = stored
        self._count_shadow(lookup)
        return lookup


async def maybe_await(value: Any) -> Any:
    """Return a value, awaited when it is awaitable."""
    return await value if inspect.isawaitable(value) else value
