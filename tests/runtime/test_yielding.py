"""Calls that are ready at once pass one after the other, with other work of the loop between them."""

import asyncio
import gc
import itertools
import time
import weakref

from semantic_llm_cache.runtime import yielding as turns
from semantic_llm_cache.runtime.yielding import turn


async def test_others_get_the_loop_between_calls_that_work(monkeypatch):
    """Twenty calls of four milliseconds each are ready at once: a task that only yields goes on between any two."""
    log = []
    done = False

    async def work(number):
        await turn()
        log.append(number)
        time.sleep(0.004)  # noqa: ASYNC251 - work that holds the loop up

    async def other():
        while not done:
            log.append("other")
            await asyncio.sleep(0)

    ticker = asyncio.create_task(other())
    await asyncio.gather(*[work(number) for number in range(20)])
    done = True
    await ticker
    numbers = [item for item in log if item != "other"]
    assert numbers == list(range(20))  # first come, first served
    assert all("other" in (one, two) for one, two in itertools.pairwise(log))


async def test_little_work_waits_for_nobody(monkeypatch):
    monkeypatch.setattr(turns, "_SECONDS", 60.0)
    order = []

    async def work(number):
        await turn()
        order.append(number)

    async def other():
        order.append("other")

    await asyncio.gather(work(1), work(2), other())
    assert order == [1, 2, "other"]


async def test_one_that_is_cancelled_while_it_waits_is_passed_over(monkeypatch):
    monkeypatch.setattr(turns, "_SECONDS", 0.0)
    passed = []

    async def work(number):
        await turn()
        passed.append(number)

    tasks = [asyncio.create_task(work(number)) for number in range(5)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    await asyncio.wait(tasks)
    assert passed == [0, 1, 3, 4]


def test_loops_come_and_go(monkeypatch):
    monkeypatch.setattr(turns, "_SECONDS", 0.0)
    loops = []

    async def main():
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await asyncio.gather(*[turn() for _ in range(5)])

    for _ in range(3):
        asyncio.run(main())
    gc.collect()
    assert [loop() for loop in loops] == [None, None, None]


def test_without_a_loop_there_is_no_turn_to_wait_for():
    coroutine = turn()
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("it waited")
