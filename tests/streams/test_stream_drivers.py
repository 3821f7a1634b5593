"""The two drivers of steps: what they return, what they throw in, and what they leave closed."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from semantic_llm_cache.engine.driving import Steps, drive, drive_blocking
from semantic_llm_cache.streams.driving import streamed, streamed_blocking
from semantic_llm_cache.streams.steps import Give
from semantic_llm_cache.wire.steps import END, Call, Close, Next, Source

WAYS = [pytest.param(False, id="async"), pytest.param(True, id="plain")]


def run(steps: Steps, plain: bool) -> Any:
    return drive_blocking(steps) if plain else asyncio.run(drive(steps))


def call(function: Any, plain: bool) -> Call:
    async def waited() -> Any:
        await asyncio.sleep(0)
        return function()

    return Call(function if plain else waited)


class Counted:
    """Chunks of either kind that note how often they were closed."""

    def __init__(self, plain: bool, fails: bool = False) -> None:
        self.closed = 0
        self.fails = fails
        self.source = Source(self._plain if plain else self._waited)

    def _plain(self) -> Iterator[int]:
        try:
            yield 1
            yield 2
            if self.fails:
                raise OSError("broken")
        finally:
            self.closed += 1

    async def _waited(self) -> AsyncIterator[int]:
        try:
            for chunk in (1, 2):
                await asyncio.sleep(0)
                yield chunk
            if self.fails:
                raise OSError("broken")
        finally:
            self.closed += 1


def given(source: Source, log: list[str], plain: bool) -> Steps:
    try:
        while (chunk := (yield Next(source))) is not END:
            yield Give((chunk,))
    finally:
        log.append((yield call(lambda: "end", plain)))
        yield Close(source)


@pytest.mark.parametrize("plain", WAYS)
def test_results_go_in_and_the_last_comes_out(plain: bool) -> None:
    def steps() -> Steps:
        first = yield call(lambda: 1, plain)
        second = yield call(lambda: 2, plain)
        return first, second

    assert run(steps(), plain) == (1, 2)


@pytest.mark.parametrize("plain", WAYS)
def test_an_exception_of_a_step_is_raised_in_the_generator(plain: bool) -> None:
    def steps() -> Steps:
        try:
            yield call(lambda: 1 // 0, plain)
        except ZeroDivisionError:
            return (yield call(lambda: "caught", plain))

    assert run(steps(), plain) == "caught"


@pytest.mark.parametrize("plain", WAYS)
def test_an_exception_that_passes_through_is_unchanged_and_freed(plain: bool) -> None:
    class Mine(Exception):
        pass

    raised: list[Any] = []

    def fail() -> None:
        error = Mine()
        raised.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error  # its traceback holds this frame

    def steps() -> Steps:
        yield call(fail, plain)

    gc.collect()
    gc.disable()
    try:
        with pytest.raises(Mine) as caught:
            run(steps(), plain)
        assert caught.value is raised[0]()
        del caught
        assert not plain or raised[0]() is None  # asyncio.run keeps the task a little longer
    finally:
        gc.enable()


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("plain", WAYS)
def test_a_stream_ends_and_closes(plain: bool, fails: bool) -> None:
    counted, log, got = Counted(plain, fails), [], []

    async def read() -> None:
        async for chunk in streamed(given(counted.source, log, plain)):
            got.append(chunk)

    def go() -> None:
        if plain:
            got.extend(streamed_blocking(given(counted.source, log, plain)))
        else:
            asyncio.run(read())

    if fails:
        with pytest.raises(OSError, match="broken"):
            go()
    else:
        go()
    assert (counted.closed, log) == (1, ["end"])
    assert fails or got == [1, 2]


@pytest.mark.parametrize("plain", WAYS)
def test_steps_after_the_caller_has_left_are_carried_out(plain: bool) -> None:
    counted, log = Counted(plain), []

    async def read() -> None:
        chunks = streamed(given(counted.source, log, plain))
        assert await anext(chunks) == 1
        await chunks.aclose()

    if plain:
        chunks = streamed_blocking(given(counted.source, log, plain))
        assert next(chunks) == 1
        chunks.close()
    else:
        asyncio.run(read())
    assert (counted.closed, log) == (1, ["end"])


async def test_a_cancelled_caller_has_its_last_steps_done() -> None:
    done = []

    def steps() -> Steps:
        try:
            yield Call(lambda: asyncio.sleep(60))
        finally:
            yield Call(lambda: asyncio.sleep(0))
            done.append(True)

    task = asyncio.ensure_future(drive(steps()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == [True]


async def test_a_coroutine_that_is_closed_ends_its_steps() -> None:
    done = []

    def steps() -> Steps:
        try:
            yield Call(lambda: asyncio.sleep(60))
        finally:
            done.append(True)

    driven = drive(steps())
    driven.send(None)
    driven.close()
    assert done == [True]
