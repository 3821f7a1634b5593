"""Messages of a PostgreSQL server through NOTIFY: entries that changed, leases that were given back.

Triggers on the table report every entry that is replaced or deleted, by any program, also by TRUNCATE. Entries
written for the first time are not reported, because no process can hold an older one. LISTEN needs a connection
that stays with one session of the server: behind pgbouncer in transaction mode it seems to work, but no message
ever comes. So the listener first sends itself a message through another connection and waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Any

from semantic_llm_cache.backends.listener import TICK, Listener, Unheard
from semantic_llm_cache.backends.postgres.link import Link
from semantic_llm_cache.storage.front import Front

__all__ = ["PostgresListener"]

_ECHO_SECONDS = 2.0


class PostgresListener(Listener):
    """Listens on a connection of its own, which does not count among the pool's.

    Args:
        link: to the server.
        front: drops entries that others change.
    """

    def __init__(self, link: Link, front: Front | None) -> None:
        super().__init__(link.url, front)
        self.link = link

    async def hear(self) -> None:
        """Listen until the connection is lost or the listener is no longer needed."""
        names = self.link.names
        connection = await self.link.connect()
        lost, echoed = asyncio.Event(), asyncio.Event()
        echo = f"?{os.urandom(16).hex()}"

        def on_changed(_: Any, pid: int, channel: str, payload: str) -> None:
            self._changed(payload)

        def on_freed(_: Any, pid: int, channel: str, payload: str) -> None:
            if payload == echo:
                echoed.set()
            else:
                self.ring(payload)

        try:
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(names.changed_channel, on_changed)
            await connection.add_listener(names.freed_channel, on_freed)
            await self.link.fetch(lambda schema: "SELECT pg_notify($1, $2)", names.freed_channel, echo)
            try:
                await asyncio.wait_for(echoed.wait(), _ECHO_SECONDS)
            except (asyncio.TimeoutError, TimeoutError):
                raise Unheard("LISTEN brings no messages here: is it pgbouncer in transaction mode?") from None
            self.heard()
            while self.wanted():
                with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
                    await asyncio.wait_for(lost.wait(), TICK)
                if lost.is_set():
                    raise ConnectionError("the connection was lost")
                await connection.fetchval("SELECT 1")
        finally:
            connection.terminate()

    def _changed(self, payload: str) -> None:
        front = self.front
        if front is None:
            return
        if payload == "*":
            front.drop()
            return
        try:
            front.told([bytes.fromhex(name) for name in payload.split()])
        except ValueError:  # not a message of ours
            front.drop()
