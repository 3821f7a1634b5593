"""Large answers: written, read and copied in a thread, so that the event loop is not held up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from semantic_llm_cache.values.encoding import Encoded, is_immutable
from semantic_llm_cache.values.json_pieces import MOST, weight
from semantic_llm_cache.values.rebuilding import revived

__all__ = ["LONG", "MANY", "inline", "is_large", "off_loop", "opened"]

T = TypeVar("T")

LONG = 100_000
"""Characters of a stored form that take 2 ms to read if they are table rows; plain text takes a tenth of that."""
MANY = 1_500
"""Chunks of a stream above which it counts as large, however short they are."""
_here = threading.local()


def is_large(value: Any) -> bool:
    """Return whether writing, reading or copying a value would hold up an event loop for 2 ms or more."""
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
    """Call a function in a thread, without blocking the event loop."""
    if getattr(_here, "inline", False):
        return function(*args)
    return await asyncio.to_thread(function, *args)


async def opened(held: Any, target: Any, large: bool | None = None) -> Any:
    """Return a copy of a stored answer for one reader, made in a thread if it is large.

    Args:
        held: the answer, in its stored form or as a backend returns it.
        target: the type to rebuild it to.
        large: the result of `is_large`, if known.

    Raises:
        CacheSerializationError: it cannot be rebuilt as `target`.
    """

    def copy() -> Any:
        return revived(held, target)

    return await off_loop(copy) if (is_large(held) if large is None else large) else copy()
