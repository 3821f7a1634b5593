"""Connections: a pool of asyncpg's connections per event loop.

A connection belongs to one event loop. Each loop gets a pool when it first asks; it is closed when the loop
shuts down its asynchronous generators, as `asyncio.run` does, so that none is left behind unclosed. A
forked child leaves its parent's alone and makes its own.

The pool is our own because asyncpg's resets the session at each release, which is one more round trip.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from semantic_llm_cache.exceptions import CacheBackendError
from semantic_llm_cache.runtime.fork import fork_safe_lock

__all__ = ["Pool", "Pools", "need_asyncpg"]

Connect = Callable[[], Awaitable[Any]]


def need_asyncpg() -> Any:
    """Return the package `asyncpg`. CacheBackendError when it is not installed."""
    try:
        import asyncpg
    except ImportError as error:
        needed = 'pip install "semantic-llm-cache[postgres]"'
        raise CacheBackendError(f"PostgresBackend needs a package: {needed}") from error
    return asyncpg


class Pool:
    """The connections of one event loop.

    Args:
        connect: opens one.
        least: how many stay open when nobody needs them.
        most: how many there are at most; who finds none free waits.
        patience: seconds to wait for a free one.
        idle: seconds after which one that nobody needed is closed, down to `least`.
    """

    def __init__(self, connect: Connect, least: int, most: int, patience: float, idle: float = 60.0) -> None:
        self._connect = connect
        self._least = least
        self._most = most
        self._patience = patience
        self._idle_seconds = idle
        self._idle: list[tuple[Any, float]] = []  # the last one is the one used last
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._held: set[Any] = set()
        self.lock = asyncio.Lock()
        """Held by who makes the tables ready."""
        self.setting_up: asyncio.Task[Any] | None = None
        self.size = 0
        self.closed = False
        self.keeper: AsyncGenerator[None, None] | None = None

    async def acquire(self) -> Any:
        """Return a connection for the caller alone; give it back with `release`."""
        while True:
            while self._idle:
                connection, _ = self._idle.pop()
                if not connection.is_closed():
                    self._held.add(connection)
                    return connection
                self.size -= 1
            if self.size < self._most:
                return await self._open()
            await self._wait()

    async def _open(self) -> Any:
        self.size += 1
        try:
            connection = await self._connect()
        except BaseException:
            self.size -= 1
            self._wake()
            raise
        if self.closed:  # while it was being opened
            connection.terminate()
            self.size -= 1
            raise CacheBackendError("the backend was closed meanwhile")
        self._held.add(connection)
        return connection

    async def _wait(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await asyncio.wait_for(waiter, self._patience)
        except (asyncio.TimeoutError, TimeoutError):
            raise CacheBackendError(
                f"all {self._most} connections were busy for {self._patience:g} s: raise pool_max"
            ) from None
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._wake()  # it was our turn: let the next one have it
            raise
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(waiter)

    def release(self, connection: Any, *, sound: bool = True) -> None:
        """Take a connection back; one that is not `sound` is cut off."""
        self._held.discard(connection)
        if sound and not self.closed and not connection.is_closed():
            now = time.monotonic()
            self._idle.append((connection, now))
            if len(self._idle) > self._least and now - self._idle[0][1] > self._idle_seconds:
                self._drop(self._idle.pop(0)[0])
        else:
            self._drop(connection)
        self._wake()

    def forget_idle(self) -> None:
        """Cut off those nobody uses: their server has gone, or is a new one."""
        while self._idle:
            self._drop(self._idle.pop()[0])

    def _drop(self, connection: Any) -> None:
        self.size -= 1
        connection.terminate()

    def _wake(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def close(self) -> None:
        """Say goodbye on those that are free, cut off those in use."""
        self.closed = True
        free = [connection for connection, _ in self._idle]
        self._idle.clear()
        for connection in free:
            try:
                await connection.close(timeout=1.0)
            except Exception:
                connection.terminate()
        self.terminate()
        while self._waiting:
            self._wake()

    def terminate(self) -> None:
        """Cut all connections off, without waiting."""
        self.closed = True
        for connection in [*(connection for connection, _ in self._idle), *self._held]:
            with contextlib.suppress(Exception):
                connection.terminate()
        self._idle.clear()
        self._held.clear()


class Pools:
    """Makes and keeps the pools of all event loops."""

    def __init__(self, make: Callable[[], Pool]) -> None:
        self._make = make
        self._open: dict[asyncio.AbstractEventLoop, Pool] = {}
        self._lock = fork_safe_lock()
        _all.add(self)
        weakref.finalize(self, _let_go, self._open).atexit = False

    async def get(self) -> Pool:
        """Return the pool of the running loop."""
        loop = asyncio.get_running_loop()
        found = self._open.get(loop)
        if found is not None and not found.closed:
            return found
        made = self._make()
        with self._lock:
            left = [self._open.pop(old) for old in list(self._open) if old.is_closed()]
            self._open[loop] = made
        for pool in left:
            _abandon(pool)
        made.keeper = _keep(self._open, loop, made)
        await made.keeper.__anext__()
        return made

    async def close(self) -> None:
        """Close the pools of all loops; the next use makes new ones."""
        here = asyncio.get_running_loop()
        with self._lock:
            held = dict(self._open)
            self._open.clear()
        for loop, pool in held.items():
            if loop is here:
                if pool.keeper is not None:
                    await pool.keeper.aclose()
            elif loop.is_closed():
                _abandon(pool)
            elif loop.is_running() and pool.keeper is not None:
                with contextlib.suppress(Exception):
                    future = asyncio.run_coroutine_threadsafe(_close_keeper(pool.keeper), loop)
                    await asyncio.wait_for(asyncio.wrap_future(future), 2.0)

    def _after_fork(self) -> None:
        _abandoned.append(dict(self._open))  # never closed here: the sockets are the parent's
        self._open.clear()


async def _keep(opened: dict[Any, Pool], loop: asyncio.AbstractEventLoop, pool: Pool) -> AsyncGenerator[None, None]:
    """Close a pool when its loop ends its asynchronous generators."""
    try:
        yield
    finally:
        if opened.get(loop) is pool:
            del opened[loop]
        with contextlib.suppress(Exception):
            await pool.close()


async def _close_keeper(keeper: AsyncGenerator[None, None]) -> None:
    await keeper.aclose()


def _let_go(opened: dict[asyncio.AbstractEventLoop, Pool]) -> None:
    """Cut off what a forgotten backend has left open."""
    for loop, pool in list(opened.items()):
        if loop.is_closed():
            _abandon(pool)
        else:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(pool.terminate)
    opened.clear()


def _abandon(pool: Pool) -> None:
    """Close the sockets of a pool whose loop is closed, without that loop."""
    for connection in [*(connection for connection, _ in pool._idle), *pool._held]:
        transport = getattr(connection, "_transport", None)
        transport = getattr(transport, "_ssl_protocol", None) or transport
        transport = getattr(transport, "_transport", None) or transport
        sock = getattr(transport, "_sock", None)
        with contextlib.suppress(Exception):
            if sock is not None:
                transport._closing = True  # type: ignore[union-attr]
                transport._sock = None  # type: ignore[union-attr]
                sock.close()
        with contextlib.suppress(Exception):
            connection.terminate()
    pool._idle.clear()
    pool._held.clear()


_all: weakref.WeakSet[Pools] = weakref.WeakSet()
_abandoned: list[Any] = []


def _after_fork() -> None:
    for pools in list(_all):
        pools._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
