"""Whether the storage behind the caches works."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any

from semantic_llm_cache.engine.state import state_of
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.server.operator.caches import Caches, Place
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.key_check import require_key

__all__ = ["backend_health", "readiness"]

_LIMIT = 2.0
_NO_KEY = "health"


async def backend_health(place: Place) -> dict[str, Any]:
    """Return what is known of a backend: whether it answers now and how fast, its figures, its breakers."""
    backend = place.backend
    error, took = await _read(place)
    stats: dict[str, Any] = {}
    if not error:
        try:
            stats = await asyncio.wait_for(backend.get_stats(), _LIMIT)
        except Exception as problem:
            error = describe(problem)
    return {
        "number": place.number,
        "url": backend.url,
        "works": not error,
        "error": error,
        "read_ms": took,
        "breakers": {kind: "open" if one.open else "closed" for kind, one in state_of(backend).breakers.items()},
        "stats": {name: value for name, value in stats.items() if isinstance(value, (int, float, str, bool))},
    }


async def _read(place: Place) -> tuple[str, float]:
    """Return what is wrong with reading ("" for nothing), and the milliseconds that it took."""
    started, error = perf_counter(), ""
    try:
        await asyncio.wait_for(_look(place.backend), _LIMIT)
    except Exception as problem:
        error = describe(problem)
    return error, (perf_counter() - started) * 1000


async def _look(backend: StorageBackend) -> None:
    await require_key(backend)
    await backend.get_many([_NO_KEY], touch=False)


async def readiness(caches: Caches) -> tuple[bool, bool]:
    """Return whether the caches can serve, and whether all of their storage works.

    A cache serves without its storage, by calling the model, unless it was made with ``on_error="raise"``.
    """
    places = caches.places()
    errors = [error for error, _ in await asyncio.gather(*(_read(place) for place in places))]
    failing = [place.backend for place, error in zip(places, errors, strict=True) if error]
    strict = any(engine.on_error == "raise" for backend in failing for engine in caches.engines_on(backend).values())
    return not strict, not failing
