"""What the tests of the engine have in common."""

import asyncio
import contextlib
import threading

from semantic_llm_cache.backends import MemoryBackend
from semantic_llm_cache.runtime import background

LIMIT = 20.0
"""Seconds after which a test that waits for ever is ended: a limit, not an expectation."""


async def background_work_ended():
    """Wait until the running loop has ended what goes on after calls, such as learning from their answers."""
    async with asyncio.timeout(LIMIT) if hasattr(asyncio, "timeout") else contextlib.nullcontext():
        loop = asyncio.get_running_loop()
        while tasks := [task for task in list(background._tasks) if task.get_loop() is loop]:
            await asyncio.wait(tasks)


class Clock:
    """Wall time that stands still until told otherwise."""

    def __init__(self, now=1_700_000_000.0):
        self.now = now

    def __call__(self):
        return self.now


class FaultyBackend(MemoryBackend):
    """A storage behind a wire, so to say: what its methods do is set by the test.

    `fault` is None (all is well), an exception to raise, a number of seconds to wait first, "hang", or a
    callable whose result is returned.
    """

    in_process = False

    def __init__(self, fault=None, only=("get", "set", "find_candidates"), **options):
        super().__init__(**options)
        self.fault = fault
        self.only = only
        self.calls = []

    @property
    def url(self):
        return "faulty://"

    async def _meet(self, name):
        self.calls.append(name)
        if name not in self.only or self.fault is None:
            return None
        if isinstance(self.fault, BaseException):
            raise self.fault
        if self.fault == "hang":
            await asyncio.Event().wait()
        if callable(self.fault):
            return self.fault
        await asyncio.sleep(self.fault)
        return None

    async def get(self, key):
        told = await self._meet("get")
        return told() if told else await super().get(key)

    async def set(self, key, entry):
        told = await self._meet("set")
        return told() if told else await super().set(key, entry)

    async def find_candidates(self, *args, **kwargs):
        told = await self._meet("find_candidates")
        return told() if told else await super().find_candidates(*args, **kwargs)


class Model:
    """An async function that answers when it is let go, and counts its calls."""

    def __init__(self, answer="answer"):
        self.calls = 0
        self.running = 0
        self.most = 0
        self.cancelled = 0
        self.started = asyncio.Event()
        self.go = asyncio.Event()
        self.answer = answer

    async def __call__(self, *args):
        self.calls += 1
        self.running += 1
        self.most = max(self.most, self.running)
        self.started.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def in_threads(*functions):
    """Run functions in threads of their own at once; return their results, exceptions among them, in order."""
    results = [None] * len(functions)

    def run(place, function):
        try:
            results[place] = function()
        except BaseException as error:
            results[place] = error

    threads = [
        threading.Thread(target=run, args=(place, function), daemon=True) for place, function in enumerate(functions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive(), "a thread waits for ever"
    return results


async def limited(awaitable):
    """Await, in this task, but not for ever."""
    timer = asyncio.get_running_loop().call_later(LIMIT, asyncio.current_task().cancel, "waits for ever")
    try:
        return await awaitable
    finally:
        timer.cancel()


async def gathered(tasks):
    """Return results of tasks, exceptions among them, in order."""
    return await limited(asyncio.gather(*tasks, return_exceptions=True))


async def until(condition):
    """Let other tasks run until `condition()`."""

    async def wait():
        while not condition():  # noqa: ASYNC110 - conditions that no event tells
            await asyncio.sleep(0.001)

    await limited(wait())
