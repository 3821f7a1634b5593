"""The process's background event loop: runs plain functions' cache calls and the batched writes of counters."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import semantic_llm_cache.runtime.fork  # noqa: F401 - first, see there
from semantic_llm_cache.runtime.breaker import logger

__all__ = ["after_fork", "at_exit", "call_later", "drop_stranded", "later", "refuse_running_loop", "run", "spawn"]

T = TypeVar("T")


class _Background:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.thread: threading.Thread | None = None

    def get(self) -> asyncio.AbstractEventLoop:
        loop = self.loop
        if loop is not None:
            return loop
        with self.lock:
            if self.loop is None:
                self.loop = asyncio.new_event_loop()
                # A daemon thread, so that a process that never closes its cache still ends at once with its own status.
                self.thread = threading.Thread(target=self.loop.run_forever, name="semantic-llm-cache", daemon=True)
                self.thread.start()
            return self.loop


_background = _Background()
_after_fork: list[Callable[[], None]] = []
_tasks: set[asyncio.Task[Any]] = set()
"""Running tasks, kept alive here: a loop itself holds its tasks only weakly."""


def run(coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
    """Run a coroutine on the background loop and wait for it from a plain thread.

    It is cancelled on KeyboardInterrupt, and when it takes more than `timeout` seconds.

    Raises:
        TimeoutError: it took longer than `timeout`.
        RuntimeError: called from the background loop itself.
    """
    loop = _background.get()
    if threading.current_thread() is _background.thread:
        coroutine.close()
        raise RuntimeError("a plain cached function was called from the cache's own background loop")
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        return future.result(timeout)
    except BaseException:
        future.cancel()
        raise


def refuse_running_loop(plain: str, instead: str) -> None:
    """Raise RuntimeError if an event loop runs in this thread.

    Args:
        plain: what was called, for the message. It would block the loop.
        instead: what to write in async code.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        f"{plain} would block the event loop that runs in this thread: write {instead} there, or call it in another "
        "thread, as with asyncio.to_thread()"
    )


def spawn(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Run a coroutine on the background loop, without waiting for it."""
    asyncio.run_coroutine_threadsafe(coroutine, _background.get())


def later(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Run a coroutine without waiting for it: on the running loop, or else on the background loop."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        spawn(coroutine)
        return
    drop_stranded()
    task = loop.create_task(coroutine)
    _tasks.add(task)
    task.add_done_callback(_done)


def drop_stranded() -> None:
    """Forget work whose loop was closed before its end: it never goes on, and would be kept alive for ever."""
    for task in list(_tasks):
        if task.get_loop().is_closed():
            _tasks.discard(task)
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            task.get_coro().close()


def _done(task: asyncio.Task[Any]) -> None:
    _tasks.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.warning("semantic-llm-cache: work in the background failed: %s", type(error).__name__)


def call_later(delay: float, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `function` on the background loop after `delay` seconds."""
    loop = _background.get()
    tasks: set[asyncio.Task[None]] = set()

    def start() -> None:
        task = loop.create_task(function())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    loop.call_soon_threadsafe(loop.call_later, delay, start)


def after_fork(function: Callable[[], None]) -> None:
    """Call `function` in the child after a fork, before any other code of this package runs there."""
    _after_fork.append(function)


def at_exit(function: Callable[[], None]) -> None:
    """Call `function` when the process ends, before threads registered earlier are stopped."""
    atexit.register(function)


def _in_child() -> None:
    global _background
    _background = _Background()
    for function in _after_fork:
        function()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
