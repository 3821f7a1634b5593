"""Answers of megabytes: written, read and copied in a thread, so that the event loop goes on meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from semantic_llm_cache.values.encoding import Encoded, is_immutable, thaw
from semantic_llm_cache.values.json_pieces import MOST, weight
from semantic_llm_cache.values.rebuilding import rebuild

__all__ = ["LONG", "MANY", "inline", "is_large", "off_loop", "opened"]

T = TypeVar("T")

LONG = 100_000
"""Characters of a stored form that take 2 ms to read, if they are table rows; text alone takes a tenth of that."""
MANY = 1_500
"""Chunks of a stream that are much to put together, however short they are."""
_here = threading.local()


def is_large(value: Any) -> bool:
    """Tell whether writing, reading or copying a value would hold an event loop up: for 2 ms or more."""
    if type(value) is Encoded:
        return len(value.text) > LONG
    return not is_immutable(value) and weight(value) > MOST


class inline:
    """Have `off_loop` do its work in this thread: for plain code, which waits for it in any case."""

    __slots__ = ("_before",)

    def __enter__(self) -> None:
        self._before = getattr(_here, "inline", False)
        _here.inline = True

    def __exit__(self, *exc: object) -> None:
        _here.inline = self._before


async def off_loop(function: Callable[..., T], *args: Any) -> T:
    """Call a function in a thread, and let the event loop go on."""
    if getattr(_here, "inline", False):
        return function(*args)
    return await asyncio.to_thread(function, *args)


async def opened(held: Any, target: Any, large: bool | None = None) -> Any:
    """Return a copy of a stored answer for one reader, made in a thread where it is large.

    Args:
        held: in its stored form, or as a storage gives it.
        target: the type to rebuild it to.
        large: what `is_large` says of it, where that is known.

    Raises:
        CacheSerializationError: it cannot be rebuilt as `target`.
    """

    def copy() -> Any:
        return rebuild(thaw(held), target)

    return await off_loop(copy) if (is_large(held) if large is None else large) else copy()
