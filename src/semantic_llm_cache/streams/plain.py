"""Streams of plain generators, which run in the threads of their readers: see `stream`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from semantic_llm_cache.calls.settings import CallSettings
from semantic_llm_cache.engine.call import Call
from semantic_llm_cache.engine.driving import Left, drive_blocking
from semantic_llm_cache.engine.engine import Engine
from semantic_llm_cache.engine.outcome import Failure
from semantic_llm_cache.keys.request import Request
from semantic_llm_cache.streams.call import Codec, StreamCall
from semantic_llm_cache.streams.steps import Give
from semantic_llm_cache.streams.stream import answer, settling

__all__ = ["settled_blocking", "stream_blocking"]


def stream_blocking(
    engine: Engine,
    request: Request,
    source: Callable[[], Iterator[Any]],
    settings: CallSettings,
    replay_delay: float | None = None,
    codec: Codec | None = None,
) -> Iterator[Any]:
    """Do the same as `stream`, for plain generators."""
    steps = answer(
        StreamCall(engine, Call(engine.redacted(request), settings, plain=True), codec), source, replay_delay
    )
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
        del given, go  # see `drive`
        step = None


def settled_blocking(engine: Engine, call: Call) -> None:
    """Do the same as `settled`, for plain code."""
    drive_blocking(settling(engine, call))
