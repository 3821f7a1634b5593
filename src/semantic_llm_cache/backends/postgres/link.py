"""Statements sent to a server, on a connection of the running loop, with errors in plain words."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from semantic_llm_cache.backends.postgres.errors import explained, lost, missing, never_sent, of_server
from semantic_llm_cache.backends.postgres.names import Names
from semantic_llm_cache.backends.postgres.pool import Pool, Pools, need_asyncpg
from semantic_llm_cache.backends.postgres.schema import Schema
from semantic_llm_cache.backends.postgres.setup import (
    complete,
    graphs_there,
    lost_indexes,
    make_graph,
    make_index,
    set_up,
)

__all__ = ["Connecting", "Link"]

logger = logging.getLogger("semantic_llm_cache")

_LONG = 300.0

T = TypeVar("T")
Statement = Callable[[Schema], str]


@dataclass(frozen=True)
class Connecting:
    """How to connect.

    Attributes:
        dsn: the address, password included.
        timeout: seconds to wait for a reply, or for a free connection.
        connect_timeout: seconds to wait for a connection.
        pool_min, pool_max: connections of one event loop.
        prepared: keep statements prepared on the server.
    """

    dsn: str = field(repr=False)
    timeout: float
    connect_timeout: float
    pool_min: int
    pool_max: int
    prepared: bool

    async def connect(self) -> Any:
        """Open a connection of its own for the running loop."""
        return await need_asyncpg().connect(
            self.dsn,
            timeout=self.connect_timeout,
            command_timeout=self.timeout,
            statement_cache_size=200 if self.prepared else 0,
        )

    def pool(self) -> Pool:
        """Return a new pool for the running loop."""
        return Pool(self.connect, self.pool_min, self.pool_max, self.timeout)


class Link:
    """Sends statements to a server whose tables are ready.

    Args:
        connecting: how to connect to the server.
        url: the address to be shown.
        names: of the tables.
    """

    def __init__(self, connecting: Connecting, url: str, names: Names) -> None:
        self.url = url
        self.names = names
        self.schema: Schema | None = None
        self._renew = False
        self._used = False
        self.graphs: set[int] = set()
        """Dimensions that have a graph, as far as known."""
        self.connect = connecting.connect
        """Opens a connection of its own for the running loop."""
        self.pools = Pools(connecting.pool)

    async def fetch(self, statement: Statement, *values: Any, timeout: float | None = None) -> list[Any]:
        """Return the rows."""

        async def run(connection: Any, schema: Schema) -> list[Any]:
            rows: list[Any] = await connection.fetch(statement(schema), *values, timeout=timeout)
            return rows

        return await self.run(run)

    async def change(self, statement: Statement, *values: Any) -> None:
        """Execute a statement that adds to what is there: it is not sent again when the reply was lost."""

        async def run(connection: Any, schema: Schema) -> None:
            await connection.fetch(statement(schema), *values)

        await self.run(run, again=False)

    async def write(self, statement: Statement, rows: Iterable[tuple[Any, ...]]) -> None:
        """Execute a statement for each row, all of them or none."""
        listed = list(rows)

        async def run(connection: Any, schema: Schema) -> None:
            if len(listed) == 1:
                await connection.fetch(statement(schema), *listed[0])
            else:
                await connection.executemany(statement(schema), listed)

        await self.run(run)

    async def fetch_each(self, statement: Statement, rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
        """Execute a statement for each row, all of them or none; return the rows that each gives."""

        async def run(connection: Any, schema: Schema) -> list[list[Any]]:
            async with connection.transaction():
                return [await connection.fetch(statement(schema), *row) for row in rows]

        return await self.run(run)

    async def run(self, work: Callable[[Any, Schema], Awaitable[T]], *, again: bool = True) -> T:
        """Return what `work` returns, given a connection and the statements.

        When the connection is lost it is replaced, and when tables were removed they are created again; then `work`
        runs a second time. With `again` False it does so only when the first try cannot have had an effect.
        """
        tries = 2
        while True:
            tries -= 1
            pool = await self.pools.get()
            try:
                connection = await pool.acquire()
            except Exception as error:
                raise self.explain(error) from error
            sound = False
            try:
                schema = self.schema or await self._set_up(pool, connection)
                result = await work(connection, schema)
                sound = True
                return result
            except Exception as error:
                sound = of_server(error) and not connection.is_closed()
                if tries and lost(error) and (again or never_sent(error)):
                    pool.forget_idle()
                    continue
                if tries and missing(error):
                    self._forget(renew=True)
                    continue
                raise self.explain(error) from error
            finally:
                pool.release(connection, sound=sound)

    async def make_graph(self, dimension: int) -> bool:
        """Make the graph of a dimension on a connection of its own; return whether it is there."""

        async def run(connection: Any, schema: Schema) -> bool:
            return await make_graph(connection, schema, dimension)

        done = await self.run(run)
        if done:
            self.graphs = {*self.graphs, dimension}
        return done

    async def look_for_graphs(self) -> None:
        """Learn which graphs others have made."""
        self.graphs = await self.run(graphs_there)

    async def empty(self, now: float) -> int | None:
        """Remove all entries at once, if the tables are not busy and the user may; return how many were live."""
        errors = need_asyncpg()
        in_the_way = (errors.LockNotAvailableError, errors.DeadlockDetectedError, errors.InsufficientPrivilegeError)

        async def run(connection: Any, schema: Schema) -> int | None:
            names = schema.names
            try:
                async with connection.transaction():
                    await connection.execute("SET LOCAL lock_timeout = 500")
                    await connection.execute(f"LOCK TABLE {names.entries}, {names.hits} IN ACCESS EXCLUSIVE MODE")
                    count: int = await connection.fetchval(schema.count, now, timeout=_LONG)
                    await connection.execute(f"TRUNCATE {names.entries}, {names.hits}")
                    return count
            except in_the_way:
                return None

        return await self.run(run)

    async def mend(self) -> None:
        """Restore lost triggers and indexes, whose absence makes no statement fail. Blocks no writes."""
        lost = await self.run(lost_indexes)
        if lost is None:
            self._forget()
            lost = await self.run(lost_indexes)
        made = []
        for part in lost or ():
            statement = part.make.replace("CREATE INDEX", "CREATE INDEX CONCURRENTLY")
            name = part.name.partition(" ")[2]

            async def make(connection: Any, schema: Schema, name: str = name, statement: str = statement) -> bool:
                return await make_index(connection, schema, name, statement)

            if await self.run(make):
                made.append(part.name)
        if made:
            self._log_restored(made)
        await self.look_for_graphs()

    def _forget(self, *, renew: bool = False) -> None:
        """Check again what is there before the next statement."""
        self.schema, self.graphs = None, set()
        self._renew = self._renew or renew

    async def _set_up(self, pool: Pool, connection: Any) -> Schema:
        async with pool.lock:
            if self.schema is None:
                found = None if self._renew else await complete(connection, self.names)
                if found is None:
                    if pool.setting_up is None or pool.setting_up.done():
                        pool.setting_up = asyncio.create_task(self._make())
                        pool.setting_up.add_done_callback(_seen)
                    found = cast(Schema, await asyncio.shield(pool.setting_up))
                self.graphs = await graphs_there(connection, found)
                self.schema, self._used = found, True
            return self.schema

    async def _make(self) -> Schema:
        """Create what is missing, on a connection of its own: on a large table that takes longer than a call waits."""
        connection = await self.connect()
        try:
            schema, made, fresh = await set_up(connection, self.names, renew=self._renew)
        finally:
            connection.terminate()
        self._renew = False
        if made and (self._used or not fresh):
            self._log_restored(["all of it"] if fresh else made)
        return schema

    def _log_restored(self, mended: list[str]) -> None:
        logger.warning(
            "semantic-llm-cache: %s: parts of the schema %s were missing and have been created again: %s",
            self.url, self.names.schema, ", ".join(mended),
        )  # fmt: skip

    def explain(self, error: Exception) -> Exception:
        """Return the error that the caller gets."""
        return explained(error, self.url)


def _seen(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()  # or asyncio would log it when the caller is gone
