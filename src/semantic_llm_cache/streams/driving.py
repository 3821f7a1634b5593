"""The drivers of streams, on an event loop and in a plain thread: see `engine.driving`.

Among its steps a generator yields `Give` for chunks, which reach the reader one by one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any

from semantic_llm_cache.engine.driving import Left, Steps
from semantic_llm_cache.engine.outcome import Failure
from semantic_llm_cache.streams.steps import Give

__all__ = ["streamed", "streamed_blocking"]


async def streamed(steps: Steps) -> AsyncGenerator[Any, None]:
    """Carry out steps on the running loop, and yield the chunks that they give. Raise the exception in a `Failure`."""
    go: Any = steps.send
    given: Any = None
    send = go
    try:
        while True:
            try:
                step = go(given)
            except StopIteration as stop:
                given = stop.value
                break
            except Left:
                return
            try:
                if type(step) is Give:
                    for chunk in step.chunks:
                        yield chunk
                    given, go = None, send
                else:
                    given, go = await step.awaited(), send
            except GeneratorExit:
                given, go = Left(), steps.throw
            except BaseException as error:
                given, go = error, steps.throw
        if type(given) is Failure:
            raise given.error
    finally:
        del given, go  # see `drive`
        step = None


def streamed_blocking(steps: Steps) -> Generator[Any, None, None]:
    """Do the same as `streamed`, in a plain thread."""
    go: Any = steps.send
    given: Any = None
    send = go
    try:
        while True:
            try:
                step = go(given)
            except StopIteration as stop:
                given = stop.value
                break
            except Left:
                return
            try:
                if type(step) is Give:
                    yield from step.chunks
                    given, go = None, send
                else:
                    given, go = step.blocking(), send
            except GeneratorExit:
                given, go = Left(), steps.throw
            except BaseException as error:
                given, go = error, steps.throw
        if type(given) is Failure:
            raise given.error
    finally:
        del given, go
        step = None
