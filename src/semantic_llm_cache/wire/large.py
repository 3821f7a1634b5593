"""Large bodies: read in one thread, one after another, so that an event loop is not held up.

Reading is mostly Python code, and the interpreter lets other threads run every 5 ms meanwhile. Only one body is read at
a time: with several such threads the loop would have to wait for each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from semantic_llm_cache.runtime.worker import Worker

__all__ = ["LONG", "MOST_VALUES", "apart", "has_too_many_values"]

T = TypeVar("T")

LONG = 64 * 1024
"""Bytes of a body above which the thread reads it. Reading this many takes up to 6 ms, if they are all numbers; handing
it to the thread takes 0.1 ms."""
MOST_VALUES = 320_000
"""Commas in a request above which it is not read at all. No other thread can run while so many values are freed, or
while the garbage collector looks at them: some 30 ms."""


def _nothing() -> None:
    return None


_worker: Worker[None] = Worker("large-bodies", _nothing, lambda _: None)


async def apart(function: Callable[[], T]) -> T:
    """Call a function in the thread. It gets no context variables; it is not called if the caller leaves before."""
    return await _worker.run(lambda _: function())


def has_too_many_values(body: bytes) -> bool:
    """Return whether a body has so many values that reading it would hold up all threads.

    Example:
        >>> has_too_many_values(b"[1, 2]"), has_too_many_values(b"[" + b"1," * 600_000 + b"1]")
        (False, True)
    """
    return len(body) > MOST_VALUES and body.count(b",") > MOST_VALUES
