"""Time limits that share one timer per event loop.

`asyncio.timeout` schedules and cancels a timer for every operation, which takes longer than a lookup by key. Here a
limit is an entry in a dict. The timer is set for the earliest one, and looks for the next when it fires.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import Any

__all__ = ["Deadline", "deadlines_of"]


class Deadline:
    """The time by which a task must be done with something.

    Attributes:
        when: by the clock of the loop.
        task: the task that is cancelled then.
        earlier: how often the task had been cancelled when this began.
        passed: whether the time has come and the task was cancelled.
    """

    __slots__ = ("earlier", "passed", "task", "when")

    def __init__(self, when: float, task: asyncio.Task[Any]) -> None:
        self.when = when
        self.task = task
        self.earlier: int = task.cancelling()  # type: ignore[attr-defined,unused-ignore]  # from Python 3.11 on
        self.passed = False


class _Deadlines:
    """The deadlines of one loop. Only used in its thread."""

    __slots__ = ("__weakref__", "_at", "_loop", "_open", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # A weak reference, so that the loop can be freed; the timer holds this object until it fires.
        self._loop = weakref.ref(loop)
        self._open: dict[Deadline, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._at = 0.0

    def begin(self, loop: asyncio.AbstractEventLoop, seconds: float) -> Deadline:
        """Cancel the current task in so many seconds unless `end` is called first."""
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a time limit needs a task")
        deadline = Deadline(loop.time() + seconds, task)
        self._open[deadline] = None
        if self._timer is None or deadline.when < self._at:
            self._set(loop, deadline.when)
        return deadline

    def end(self, deadline: Deadline) -> bool:
        """Forget a deadline; return whether it has passed and nobody else has cancelled the task, before or since.

        The timer stays: the next operation mostly begins before it fires.
        """
        if not deadline.passed:
            self._open.pop(deadline, None)
            return False
        left: int = deadline.task.uncancel()  # type: ignore[attr-defined,unused-ignore]
        return left <= deadline.earlier

    def _set(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._at = when
        self._timer = loop.call_at(when, self._fire)

    def _fire(self) -> None:
        self._timer = None
        loop = self._loop()
        if loop is None:
            return
        now = max(loop.time(), self._at)  # a timer may fire within the resolution of the clock before its time
        for deadline in [each for each in self._open if each.when <= now]:
            del self._open[deadline]
            deadline.passed = True
            deadline.task.cancel()
        if self._open:
            self._set(loop, min(deadline.when for deadline in self._open))


_by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Deadlines] = weakref.WeakKeyDictionary()


def deadlines_of(loop: asyncio.AbstractEventLoop) -> _Deadlines:
    """Return the deadlines of a loop."""
    found = _by_loop.get(loop)
    if found is None:
        found = _by_loop[loop] = _Deadlines(loop)
    return found
