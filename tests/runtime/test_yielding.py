"""Calls that are ready at once pass one after the other, with other work of the loop between them."""

import asyncio
import gc
import itertools
import time
import weakref

from semantic_llm_cache.runtime import yielding as turns
from semantic_llm_cache.runtime.yielding import Crowd, turn, turn_in_crowd


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


class Steps:
    """Calls whose parts take some time each, and how many parts ran between two turns of another task."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.between = [0]

    async def call(self):
        crowd = Crowd.of_loop()
        try:
            for _ in range(3):
                await asyncio.sleep(0)  # for the answer of a storage
                await turn_in_crowd()
                time.sleep(self.seconds)  # noqa: ASYNC251 - work that holds the loop up
                self.between[-1] += 1
        finally:
            crowd.leave()

    async def run(self, count):
        async def other():
            while True:
                self.between.append(0)
                await asyncio.sleep(0)

        ticker = asyncio.create_task(other())
        await asyncio.gather(*[self.call() for _ in range(count)])
        ticker.cancel()
        return max(self.between)


async def test_the_parts_of_many_calls_are_spread_over_the_rounds_of_the_loop():
    assert await Steps(0.002).run(20) <= 3  # not 20


async def test_two_calls_take_no_turns(monkeypatch):
    monkeypatch.setattr(turns, "_SECONDS", 0.0)
    assert await Steps(0.0).run(2) == 2  # both in each round
    assert await Steps(0.0).run(20) < 20


async def test_parts_that_take_little_time_continue_several_at_once():
    steps = Steps(0.0)
    await steps.run(200)
    assert len(steps.between) < 300  # rounds, for 600 parts


async def test_who_leaves_is_no_longer_in_the_crowd():
    crowd = Crowd.of_loop()
    crowd.leave()
    await Steps(0.0).run(5)
    tasks = [asyncio.create_task(Steps(0.0).call()) for _ in range(5)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert crowd.present == 0


def test_without_a_loop_there_is_no_crowd():
    assert Crowd.of_loop() is None
    coroutine = turn_in_crowd()
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("it waited")
