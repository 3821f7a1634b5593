"""Coroutines with a time limit, coroutines that never wait, and the check for asyncio."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

from semantic_llm_cache.exceptions import CacheBackendError, PromptCacheError

__all__ = ["driven", "limited", "maybe_await", "need_asyncio"]

T = TypeVar("T")


def driven(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits, in this thread, and return its result.

    Raises:
        CacheBackendError: it waits, so a backend that says ``in_process`` is not.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise CacheBackendError("the backend says in_process, but its methods wait")


async def limited(awaitable: Awaitable[T], seconds: float | None) -> T:
    """Await with a time limit; raise TimeoutError beyond it. None means no limit."""
    if seconds is None:
        return await awaitable
    if sys.version_info >= (3, 11):
        async with asyncio.timeout(seconds):
            return await awaitable
    else:
        try:
            return await asyncio.wait_for(awaitable, seconds)
        except asyncio.TimeoutError:
            raise TimeoutError from None


async def maybe_await(value: Any) -> Any:
    """Return a value, or await it if it is awaitable."""
    return await value if inspect.isawaitable(value) else value


def need_asyncio() -> asyncio.AbstractEventLoop:
    """Return the running loop. Raises PromptCacheError if there is none, as under trio."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise PromptCacheError(
            "semantic-llm-cache runs on asyncio, and no asyncio loop is running here: under trio, use anyio with "
            "its asyncio backend, or decorate a plain function"
        ) from None
