"""Steps, and the two ways to carry them out: on an event loop, and in a plain thread.

What async and plain code have in common is written once, as a generator that yields what it wants done. Each kind of
step knows how it is done on a loop (`awaited`) and how in a plain thread (`blocking`). `drive` and `drive_blocking`
go through a generator that returns something; `streamed` and `streamed_blocking` go through one that gives chunks.
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
