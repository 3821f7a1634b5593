"""One resource per event loop: a pool, a client.

Connections belong to the event loop that opened them. Each loop gets a resource of its own when it first asks. The
resource is closed when its loop shuts down its asynchronous generators, as `asyncio.run` does, so that no connection
is left open. A forked child leaves its parent's resources alone and makes its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from typing import Any, Generic, TypeVar

from semantic_llm_cache.runtime.fork import fork_safe_lock

__all__ = ["PerLoop", "Resource", "close_socket"]


class Resource(ABC):
    """What one event loop has."""

    keeper: AsyncGenerator[None, None] | None = None
    """Closes the resource when it is closed itself, or its loop shuts down."""

    @abstractmethod
    async def close_here(self) -> None:
        """Close it, from its own loop."""

    @abstractmethod
    def let_go(self) -> None:
        """Begin to close it, from its own loop and without waiting: its owner was forgotten."""

    @abstractmethod
    def abandon(self) -> None:
        """Close its sockets without its loop, which is closed."""


R = TypeVar("R", bound=Resource)


class PerLoop(Generic[R]):
    """Keeps the resources of all event loops, and closes them."""

    def __init__(self) -> None:
        self.opened: dict[asyncio.AbstractEventLoop, R] = {}
        """The resources by loop. Read it freely; only this class changes it."""
        self._lock = fork_safe_lock()
        _all.add(self)
        weakref.finalize(self, _let_go, self.opened).atexit = False

    async def add(self, made: R) -> R:
        """Keep a resource that was just made for the running loop, and return it."""
        loop = asyncio.get_running_loop()
        with self._lock:
            left = [self.opened.pop(old) for old in list(self.opened) if old.is_closed()]
            self.opened[loop] = made
        for one in left:
            one.abandon()
        made.keeper = _keep(self.opened, loop, made)
        await made.keeper.__anext__()
        return made

    async def close(self) -> None:
        """Close the resources of all loops; the next use makes new ones."""
        here = asyncio.get_running_loop()
        with self._lock:
            held = dict(self.opened)
            self.opened.clear()
        for loop, one in held.items():
            if loop is here:
                if one.keeper is not None:
                    await one.keeper.aclose()
            elif loop.is_closed():
                one.abandon()
            elif loop.is_running() and one.keeper is not None:
                with contextlib.suppress(Exception):
                    future = asyncio.run_coroutine_threadsafe(_close(one.keeper), loop)
                    await asyncio.wait_for(asyncio.wrap_future(future), 2.0)

    def reset_after_fork(self) -> None:
        """Forget what the parent has."""
        _of_parent.append(dict(self.opened))  # never closed here: the sockets are the parent's
        self.opened.clear()


async def _keep(
    opened: dict[asyncio.AbstractEventLoop, R], loop: asyncio.AbstractEventLoop, made: R
) -> AsyncGenerator[None, None]:
    """Close a resource when its loop shuts down its asynchronous generators."""
    try:
        yield
    finally:
        if opened.get(loop) is made:
            del opened[loop]
        with contextlib.suppress(Exception):
            await made.close_here()


async def _close(keeper: AsyncGenerator[None, None]) -> None:
    await keeper.aclose()


def _let_go(opened: dict[asyncio.AbstractEventLoop, R]) -> None:
    """Close what a forgotten backend has left open."""
    for loop, one in list(opened.items()):
        if loop.is_closed():
            one.abandon()
        else:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(one.let_go)
    opened.clear()


def close_socket(transport: Any) -> None:
    """Close the socket of an asyncio transport whose loop is closed; with TLS, of the transport below."""
    transport = getattr(transport, "_ssl_protocol", None) or transport
    transport = getattr(transport, "_transport", None) or transport
    sock = getattr(transport, "_sock", None)
    if sock is not None:
        with contextlib.suppress(Exception):
            transport._closing = True
            transport._sock = None
            sock.close()


_all: weakref.WeakSet[PerLoop[Any]] = weakref.WeakSet()
_of_parent: list[Any] = []


def _after_fork() -> None:
    for one in list(_all):
        one.reset_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
