"""Noticing by polling what other processes change in the file.

Four times a second, while the front holds something, the listener reads a number that SQLite changes with every
commit of another connection. Only when it has changed are the entries in the front compared with the file: a row
that was written again has a higher id, and one that was deleted is gone. An UPDATE of a row by another program is
not noticed this way; for that, the front's time limit applies.
"""

from __future__ import annotations

import asyncio
import sqlite3

from semantic_llm_cache.backends.listener import Listener, Unheard
from semantic_llm_cache.backends.sqlite.rows import text_of
from semantic_llm_cache.backends.sqlite.schema import sequence
from semantic_llm_cache.backends.sqlite.watch import Connection
from semantic_llm_cache.runtime.worker import Worker
from semantic_llm_cache.storage.front import Front

__all__ = ["SQLiteListener"]

_EVERY = 0.25
_IN = 500


class SQLiteListener(Listener):
    """Looks at the file through the backend's own reading connection.

    Args:
        url: of the file.
        front: drops entries that others change.
        reading: the worker that reads.
    """

    def __init__(self, url: str, front: Front, reading: Worker[Connection]) -> None:
        super().__init__(url, front)
        self._front = front
        self._reading = reading
        self._connection: sqlite3.Connection | None = None
        self._version = self._last_id = 0

    async def hear(self) -> None:
        """Look until the listener is no longer needed."""
        self._connection = None
        while self.wanted():
            await self._reading.run(self._look)
            if self._reading.transient:
                raise Unheard("the file is read-only")
            await asyncio.sleep(_EVERY)

    def _look(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if connection is not self._connection:  # the number is this connection's own
            self._connection, self._version = connection, version
            self._last_id = sequence(connection, "entries")
            self.heard()
            return
        if version == self._version:
            return
        self._version = version
        front = self._front
        front.stale_reads()
        last_id, self._last_id = self._last_id, sequence(connection, "entries")
        keys = front.keys()
        for start in range(0, len(keys), _IN):
            some = keys[start : start + _IN]
            among = ",".join("?" * len(some))
            rows = connection.execute(f"SELECT key FROM entries WHERE key IN ({among}) AND id <= ?", (*some, last_id))
            front.told(set(some) - {text_of(key) for (key,) in rows})
