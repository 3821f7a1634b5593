"""Streams made of steps, read on an event loop or in a plain thread: see `engine.driving`.

Among its steps a generator yields `Give` for each chunk. `streamed` and `streamed_blocking` carry the other steps out
and yield the chunks.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any, NamedTuple

from semantic_llm_cache.engine.driving import Left, Steps

__all__ = ["Give", "streamed", "streamed_blocking"]


class Give(NamedTuple):
    """Hand a chunk to the caller. Only the drivers of streams know how."""

    chunk: Any


async def streamed(steps: Steps) -> AsyncGenerator[Any, None]:
    """Carry out steps on the running loop, and yield the chunks that they give."""
    go: Any = steps.send
    given: Any = None
    send = go
    try:
        while True:
            try:
                step = go(given)
            except (StopIteration, Left):
                return
            try:
                if type(step) is Give:
                    yield step.chunk
                    given, go = None, send
                else:
                    given, go = await step.awaited(), send
            except GeneratorExit:
                given, go = Left(), steps.throw
            except BaseException as error:
                given, go = error, steps.throw
    finally:
        del given, go
        step = None


def streamed_blocking(steps: Steps) -> Generator[Any, None, None]:
    """`streamed` in a plain thread."""
    go: Any = steps.send
    given: Any = None
    send = go
    try:
        while True:
            try:
                step = go(given)
            except (StopIteration, Left):
                return
            try:
                if type(step) is Give:
                    yield step.chunk
                    given, go = None, send
                else:
                    given, go = step.blocking(), send
            except GeneratorExit:
                given, go = Left(), steps.throw
            except BaseException as error:
                given, go = error, steps.throw
    finally:
        del given, go
        step = None
