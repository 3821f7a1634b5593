"""A pool of asyncpg's connections, one per event loop.

The pool is our own because asyncpg's resets the session at each release, which is one more round trip.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from semantic_llm_cache._installation import install
from semantic_llm_cache.backends.loops import PerLoop, Resource, close_socket
from semantic_llm_cache.exceptions import CacheBackendError

__all__ = ["Pool", "Pools", "need_asyncpg"]

Connect = Callable[[], Awaitable[Any]]


def need_asyncpg() -> Any:
    """Return the package `asyncpg`. CacheBackendError when it is not installed."""
    try:
        import asyncpg
    except ImportError as error:
        raise CacheBackendError(f"PostgresBackend needs a package: {install('postgres')}") from error
    return asyncpg


class Pool(Resource):
    """The connections of one event loop.

    Args:
        connect: opens one.
        least: how many stay open while idle.
        most: how many there are at most; a caller that finds none free waits.
        patience: seconds to wait for a free one.
        idle: seconds after which an idle one is closed, down to `least`.
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
        """Held while the tables are made ready."""
        self.setting_up: asyncio.Task[Any] | None = None
        self.size = 0
        self.closed = False

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
            raise CacheBackendError("the backend was closed while a connection was being opened")
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
                self._wake()  # it was our turn: wake the next one instead
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
        """Cut off the idle ones: their server is gone, or is a new one."""
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
        """Close the idle connections properly, and cut off those in use."""
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

    async def close_here(self) -> None:
        """`close`."""
        await self.close()

    def let_go(self) -> None:
        """`terminate`."""
        self.terminate()

    def abandon(self) -> None:
        """Close the sockets without the pool's loop, which is closed."""
        for connection in self._all():
            close_socket(getattr(connection, "_transport", None))
            with contextlib.suppress(Exception):
                connection.terminate()
        self._idle.clear()
        self._held.clear()

    def terminate(self) -> None:
        """Cut all connections off, without waiting."""
        self.closed = True
        for connection in self._all():
            with contextlib.suppress(Exception):
                connection.terminate()
        self._idle.clear()
        self._held.clear()

    def _all(self) -> list[Any]:
        return [*(connection for connection, _ in self._idle), *self._held]


class Pools:
    """The pools of all event loops.

    Args:
        make: returns a new one for the running loop.
    """

    def __init__(self, make: Callable[[], Pool]) -> None:
        self._make = make
        self._loops: PerLoop[Pool] = PerLoop()

    async def get(self) -> Pool:
        """Return the pool of the running loop."""
        found = self._loops.opened.get(asyncio.get_running_loop())
        return found if found is not None and not found.closed else await self._loops.add(self._make())

    async def close(self) -> None:
        """Close the pools of all loops; the next use makes new ones."""
        await self._loops.close()
