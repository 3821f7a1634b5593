"""Steps, and the two ways to carry them out: on an event loop, and in a plain thread.

What async and plain code have in common is written once, as a generator that yields what it wants done. Each kind of
step knows how it is done on a loop (`awaited`) and how in a plain thread (`blocking`). `drive` and `drive_blocking`
go through a generator that returns something; `streamed` and `streamed_blocking` go through one that gives chunks.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any, NamedTuple, Protocol

__all__ = ["Give", "Left", "Step", "Steps", "drive", "drive_blocking", "streamed", "streamed_blocking"]


class Left(BaseException):
    """The caller has gone. Thrown into steps in place of GeneratorExit, after which no more of them could be done."""


class Step(Protocol):
    """Something that a generator wants done."""

    async def awaited(self) -> Any:
        """Do it on the running event loop."""

    def blocking(self) -> Any:
        """Do it in this thread."""


class Give(NamedTuple):
    """Hand a chunk to the caller. Only the drivers of streams know how."""

    chunk: Any


Steps = Generator[Any, Any, Any]
"""Yields steps, is sent their results, and returns a result."""


async def drive(steps: Steps) -> Any:
    """Carry out steps on the running loop, and return what the generator returns."""
    go: Any = steps.send
    given: Any = None
    send = go
    try:
        while True:
            try:
                step = go(given)
            except StopIteration as stop:
                return stop.value
            except Left:
                raise GeneratorExit from None
            try:
                given, go = await step.awaited(), send
            except GeneratorExit:
                given, go = Left(), steps.throw
            except BaseException as error:
                given, go = error, steps.throw
    finally:
        del given, go  # an exception's traceback holds this frame, so this frame must not hold the exception
        step = None


def drive_blocking(steps: Steps) -> Any:
    """`drive` in a plain thread."""
    go: Any = steps.send
    given: Any = None
    send = go
    try:
        while True:
            try:
                step = go(given)
            except StopIteration as stop:
                return stop.value
            try:
                given, go = step.blocking(), send
            except BaseException as error:
                given, go = error, steps.throw
    finally:
        del given, go
        step = None


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
