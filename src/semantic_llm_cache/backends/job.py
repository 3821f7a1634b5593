"""Something that runs on the process's background loop until it is done or stopped."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Awaitable, Callable

__all__ = ["Job"]

_PATIENCE = 2.0


class Job:
    """One run of a coroutine function that any thread can stop."""

    def __init__(self) -> None:
        self.done: concurrent.futures.Future[None] = concurrent.futures.Future()
        """Has a result when it is over, whatever ended it."""
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    async def run(self, function: Callable[[], Awaitable[None]]) -> None:
        """Run `function`, unless the job was stopped before. To be spawned as a task of its own."""
        self._task = asyncio.current_task()
        try:
            if not self._stopped:
                await function()
        except asyncio.CancelledError:
            if not self._stopped:
                raise
        finally:
            self._task = None
            self.done.set_result(None)

    def stop(self) -> None:
        """End it soon. From any thread, without waiting."""
        self._stopped = True
        task = self._task
        if task is not None:
            with contextlib.suppress(RuntimeError):  # its loop is closed
                task.get_loop().call_soon_threadsafe(task.cancel)

    async def wait(self) -> None:
        """Wait until it is over, two seconds at most. From any loop."""
        with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(self.done), _PATIENCE)
