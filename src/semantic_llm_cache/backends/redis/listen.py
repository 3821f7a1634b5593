"""Messages of a Redis server: changed entries through client-side caching, released leases through pub/sub.

Tracking in broadcast mode reports every change of a key under our prefix: a write or deletion by any program,
expiry, eviction, FLUSHALL. It works with RESP2, on a connection that redirects the messages to itself. In a cluster
the listener connects to every primary. Two things are not reported: what only a replica does, and changes on a
primary that joined the cluster moments ago. For these, the front's time limit applies.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from semantic_llm_cache.backends.listener import TICK, Listener, Unheard
from semantic_llm_cache.backends.redis.clients import Link
from semantic_llm_cache.backends.redis.entries import Names, to_text
from semantic_llm_cache.storage.front import Front

__all__ = ["RedisListener"]

_INVALIDATE = b"__redis__:invalidate"
_MANY = 4096


class RedisListener(Listener):
    """Listens on connections of its own, one for each primary.

    Args:
        link: to the server.
        front: drops entries that others change.
    """

    def __init__(self, link: Link, front: Front | None) -> None:
        super().__init__(link.url, front)
        self.link = link
        self.names: Names | None = None
        """Names of the keys; set before the listener is started."""

    async def hear(self) -> None:
        """Listen to every primary until a connection is lost or the listener is no longer needed."""
        front = self.front
        tracking = front is not None and front.listen is not None and front.listening
        made, where = await self._connections(tracking)
        tasks: list[asyncio.Task[None]] = []
        try:
            for number, connection in enumerate(made):
                await self._prepare(connection, tracking, leases=not number)
            self.heard()
            tasks = [asyncio.ensure_future(self._read(connection)) for connection in made]
            while True:
                done, _ = await asyncio.wait(tasks, timeout=TICK, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                if done or not self.wanted():
                    return
                if front is not None and front.listening and not tracking and front.listen is not None:
                    return  # until now the entries were not tracked: connect again with tracking
                if tracking and where != await self._primaries():
                    return
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for connection in made:
                with contextlib.suppress(Exception):
                    await connection.disconnect(nowait=True)

    async def _primaries(self) -> frozenset[tuple[str, int]]:
        if not self.link.cluster:
            return frozenset()
        one = await self.link.clients.get()
        return frozenset((node.host, node.port) for node in one.client.get_primaries())

    async def _connections(self, tracking: bool) -> tuple[list[Any], frozenset[tuple[str, int]]]:
        one = await self.link.clients.get()
        if self.link.cluster:
            await one.client.initialize()
            nodes = one.client.get_primaries()
            kinds = [(node.connection_class, node.connection_kwargs) for node in nodes[: None if tracking else 1]]
        else:
            pool = one.client.connection_pool
            kinds = [(pool.connection_class, pool.connection_kwargs)]
        made: list[Any] = []
        try:
            for kind, settings in kinds:
                made.append(kind(**{**settings, "protocol": 2, "decode_responses": False}))
                await made[-1].connect()
        except BaseException:
            for connection in made:
                with contextlib.suppress(Exception):
                    await connection.disconnect(nowait=True)
            raise
        return made, await self._primaries()

    async def _prepare(self, connection: Any, tracking: bool, leases: bool) -> None:
        assert self.names is not None
        channels = [self.names.freed] if leases else []
        if tracking:
            try:
                number = await _ask(connection, "CLIENT", "ID")
                words = ("CLIENT", "TRACKING", "ON", "REDIRECT", number, "BCAST", "PREFIX", self.names.all_entries)
                await _ask(connection, *words)
            except Exception as error:
                if type(error).__name__ in ("ResponseError", "NoPermissionError"):
                    raise Unheard(f"the server does not offer client-side caching ({type(error).__name__})") from error
                raise
            channels.append(_INVALIDATE)
        try:
            await connection.send_command("SUBSCRIBE", *channels)
            for _ in channels:
                await connection.read_response()
        except Exception as error:
            if type(error).__name__ == "NoPermissionError":
                raise Unheard(f"its user may not subscribe ({type(error).__name__})") from error
            raise

    async def _read(self, connection: Any) -> None:
        asked = False
        while True:
            message = await connection.read_response(timeout=TICK)
            if message is None:
                if asked:
                    raise ConnectionError("the server no longer answers")
                asked = True
                await connection.send_command("PING")
                continue
            asked = False
            if not isinstance(message, list) or len(message) != 3 or message[0] != b"message":
                continue
            if message[1] == _INVALIDATE:
                self._changed(message[2])
            else:
                self.ring(message[2].decode("ascii", "replace"))

    def _changed(self, names: list[bytes] | None) -> None:
        front = self.front
        if front is None:
            return
        if names is None or len(names) > _MANY:  # None: the server was emptied
            front.drop()
            return
        assert self.names is not None
        keys = [self.names.key(name) for name in names]
        front.told([to_text(key) for key in keys if key is not None])


async def _ask(connection: Any, *words: Any) -> Any:
    await connection.send_command(*words)
    return await connection.read_response()
