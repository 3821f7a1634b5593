"""`limited`: an awaitable with a time limit, as `asyncio.timeout` does it, without a timer for each."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from semantic_llm_cache.runtime.awaiting import limited

NOT_310 = pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 uses asyncio.wait_for")


class Ended(Exception):
    """Raised by the awaited coroutine itself."""


async def sleeper(seconds: float, log: list[str]) -> str:
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        log.append("cancelled")
        raise
    return "done"


async def test_a_result_and_an_error_in_time_pass_through() -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise Ended

    assert await limited(sleeper(0, []), 5) == "done"
    assert await limited(sleeper(0, []), None) == "done"
    with pytest.raises(Ended):
        await limited(fails(), 5)


async def test_beyond_the_limit_the_work_is_cancelled_and_the_task_goes_on() -> None:
    log: list[str] = []
    with pytest.raises(TimeoutError):
        await limited(sleeper(5, log), 0.01)
    assert log == ["cancelled"]
    await asyncio.sleep(0.001)  # the cancellation was for the work alone
    assert await limited(sleeper(0, log), 5) == "done"


async def test_limits_of_different_length_pass_each_in_its_time() -> None:
    loop, ended = asyncio.get_running_loop(), {}
    started = loop.time()

    async def one(seconds: float) -> None:
        with pytest.raises(TimeoutError):
            await limited(asyncio.sleep(5), seconds)
        ended[seconds] = loop.time() - started

    await asyncio.gather(*(one(seconds) for seconds in (0.09, 0.01, 0.05)))
    assert list(ended) == [0.01, 0.05, 0.09]
    assert all(took >= seconds - 0.002 for seconds, took in ended.items())


@NOT_310
async def test_a_cancellation_from_outside_is_no_timeout() -> None:
    log: list[str] = []
    task = asyncio.ensure_future(limited(sleeper(5, log), 0.05))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["cancelled"]


@NOT_310
async def test_a_cancellation_that_comes_while_the_limit_passes_wins() -> None:
    async def slow_to_end() -> None:
        try:
            await asyncio.sleep(5)
        finally:
            await asyncio.sleep(0.03)

    task = asyncio.ensure_future(limited(slow_to_end(), 0.01))
    await asyncio.sleep(0.02)  # the limit has passed, and the work is ending
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@NOT_310
async def test_work_that_ends_with_an_error_of_its_own_when_cancelled_leaves_no_cancellation_behind() -> None:
    async def stubborn() -> None:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            raise Ended from None

    with pytest.raises(Ended):
        await limited(stubborn(), 0.01)
    task: Any = asyncio.current_task()
    assert task.cancelling() == 0


@NOT_310
async def test_the_inner_of_two_limits_is_no_matter_of_the_outer_one() -> None:
    async def inner() -> str:
        with pytest.raises(TimeoutError):
            await limited(asyncio.sleep(5), 0.01)
        return "inner went on"

    assert await limited(inner(), 5) == "inner went on"

    async def patient() -> None:
        await limited(asyncio.sleep(5), 4)

    with pytest.raises(TimeoutError):
        await limited(patient(), 0.01)


@NOT_310
def test_many_operations_share_one_timer() -> None:
    class Counting(asyncio.SelectorEventLoop):
        timers = 0

        def call_at(self, when: float, callback: Any, *args: Any, **named: Any) -> asyncio.TimerHandle:
            self.timers += 1
            return super().call_at(when, callback, *args, **named)

    async def many() -> None:
        for _ in range(500):
            assert await limited(sleeper(0, []), 30) == "done"

    loop = Counting()
    try:
        loop.run_until_complete(many())
        assert loop.timers <= 2
    finally:
        loop.close()
