"""Runs a plain function beside an event loop, in a thread that nothing waits for at the end."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["in_thread"]


async def in_thread(function: Callable[[], Any], name: str) -> Any:
    """Run a function in a daemon thread of its own: one that hangs keeps neither the executor nor the exit waiting."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def give_up(value: Any) -> None:
        if inspect.iscoroutine(value):
            value.close()  # nobody will await it

    def finish(value: Any, error: BaseException | None) -> None:
        if future.done():
            give_up(value)
        elif error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)

    def work() -> None:
        value, error = None, None
        try:
            value = context.run(function)
        except BaseException as raised:
            error = raised
        try:
            loop.call_soon_threadsafe(finish, value, error)
        except RuntimeError:  # the loop is closed
            give_up(value)

    threading.Thread(target=work, name=name, daemon=True).start()
    return await future
