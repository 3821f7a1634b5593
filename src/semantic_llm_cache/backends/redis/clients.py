"""Connections: a client of redis-py per event loop, errors in plain words, scripts."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from semantic_llm_cache._installation import install
from semantic_llm_cache.backends.job import Job
from semantic_llm_cache.backends.loops import PerLoop, Resource, close_socket
from semantic_llm_cache.backends.redis.errors import explained, said_by
from semantic_llm_cache.backends.redis.lua.script import Script
from semantic_llm_cache.backends.redis.url import Address
from semantic_llm_cache.exceptions import CacheBackendError
from semantic_llm_cache.runtime import background

__all__ = ["Clients", "Link", "need_redis", "together"]

T = TypeVar("T")

_TOGETHER = 32
"""Commands under way at once to a cluster, for one call of ours."""


def need_redis() -> Any:
    """Return the package `redis.asyncio`. CacheBackendError when it is not installed."""
    try:
        import redis.asyncio
    except ImportError as error:
        raise CacheBackendError(f"RedisBackend needs a package: {install('redis')}") from error
    return redis.asyncio


class _Open(Resource):
    """The client of one event loop."""

    def __init__(self, client: Any, close: Callable[[], Awaitable[None]], most: int, *, cluster: bool = False) -> None:
        self.client = client
        self.close = close
        self.closed = False
        # A client fails when it has no connection left to give; a cluster's then drops those of all
        # others. (redis-py's pool that waits costs ten times as much as a semaphore.)
        self.gate = asyncio.Semaphore(most)
        # Two tasks must not start a cluster's client at the same time, nor cancel its start half way.
        self.started = not cluster
        self.starting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Let a cluster's client learn which node owns which keys."""
        if self.starting is None:
            self.starting = asyncio.ensure_future(self._start())
        await asyncio.shield(self.starting)

    async def _start(self) -> None:
        try:
            await self.client.initialize()
            self.started = True
        finally:
            self.starting = None

    async def close_here(self) -> None:
        """Close the client, after a start that is under way."""
        self.closed = True
        with contextlib.suppress(Exception):
            if self.starting is not None:
                await self.starting
        await self.close()

    def let_go(self) -> None:
        """Close the client in a task of its own."""
        if self.keeper is not None:
            task = asyncio.ensure_future(_close_keeper(self.keeper))
            _closing.add(task)
            task.add_done_callback(_closing.discard)

    def abandon(self) -> None:
        """Close the sockets without the client's loop, which is closed."""
        _abandon(self.client)


class Clients:
    """Makes and keeps the clients of an address, or the siblings of a client that was given."""

    def __init__(
        self,
        address: Address,
        client: Any = None,
        *,
        timeout: float,
        connect_timeout: float,
        max_connections: int,
    ) -> None:
        self.address = address
        self.cluster = address.kind == "cluster"
        self._given = client
        self._given_for: weakref.ref[asyncio.AbstractEventLoop] | None = None
        self._pid = os.getpid()
        self._settings = {"socket_timeout": timeout, "socket_connect_timeout": connect_timeout}
        self._max_connections = max_connections
        self._loops: PerLoop[_Open] = PerLoop()
        self._open = self._loops.opened

    async def send(self, *words: Any) -> Any:
        """Send a command with the client of the running loop; return the reply."""
        one = self._open.get(asyncio.get_running_loop())
        if one is None or not one.started:
            one = await self.get()
        await one.gate.acquire()  # `async with` takes two coroutines more, on every exact hit
        try:
            return await one.client.execute_command(*words)
        finally:
            one.gate.release()
            if one.closed:  # meanwhile: the retry may have connected again
                await one.close()

    async def get(self) -> _Open:
        """Return the client of the running loop, started."""
        found = self._open.get(asyncio.get_running_loop())
        if found is None:
            found = await self._loops.add(self._make())
        if not found.started:
            await found.start()
        return found

    async def close(self) -> None:
        """Close the clients of all loops; the next use makes new ones."""
        await self._loops.close()

    # -------------------------------------------------------------------------------- making

    def _make(self) -> _Open:
        if self._given is not None:
            return self._sibling(self._given)
        module = need_redis()
        from redis.asyncio.retry import Retry
        from redis.backoff import ExponentialBackoff

        settings = {**self._settings, **self.address.connection}
        # One retry after a lost connection: every operation here may be done twice.
        settings["retry"] = Retry(ExponentialBackoff(cap=0.05, base=0.01), 1)
        settings["retry_on_error"] = [module.ConnectionError]
        settings["protocol"] = 2
        if self.address.kind == "cluster":
            nodes = [module.cluster.ClusterNode(host, port) for host, port in self.address.hosts]
            del settings["retry"], settings["retry_on_error"]  # a cluster's client has its own retries
            client = module.RedisCluster(
                startup_nodes=nodes, require_full_coverage=False, max_connections=self._max_connections, **settings
            )
            return _Open(client, client.aclose, self._max_connections, cluster=True)
        if self.address.kind == "sentinel":
            sentinel = module.Sentinel(
                list(self.address.hosts),
                sentinel_kwargs={**self._settings, **self.address.sentinel, "protocol": 2},
                **settings,
            )
            client = sentinel.master_for(self.address.master)

            async def close() -> None:
                for one in (client, *sentinel.sentinels):
                    await one.aclose()

            return _Open(client, close, self._max_connections)
        secure = settings.pop("ssl", False)
        kind = module.SSLConnection if secure else module.Connection
        if self.address.path is not None:
            kind = module.UnixDomainSocketConnection
            settings["path"] = self.address.path
        else:
            settings["host"], settings["port"] = self.address.hosts[0]
        client = module.Redis.from_pool(module.ConnectionPool(connection_class=kind, **settings))
        return _Open(client, client.aclose, self._max_connections)

    def _sibling(self, given: Any) -> _Open:
        """Return the given client itself for the first loop, another with its settings for others."""
        module = need_redis()

        async def leave_open() -> None:
            return None

        loop = asyncio.get_running_loop()
        its_loop = loop if self._given_for is None else self._given_for()
        if its_loop is loop and self._pid == os.getpid() and not _decodes(given):
            self._given_for = weakref.ref(loop)
            return _Open(given, leave_open, self._max_connections, cluster=self.cluster)
        if isinstance(given, module.RedisCluster):
            accepted = inspect.signature(module.RedisCluster.__init__).parameters
            settings = {name: value for name, value in given.connection_kwargs.items() if name in accepted}
            settings["decode_responses"] = False
            nodes = [module.cluster.ClusterNode(node.host, node.port) for node in given.get_nodes()]
            if not nodes:
                nodes = [module.cluster.ClusterNode(n.host, n.port) for n in given.nodes_manager.startup_nodes.values()]
            client = module.RedisCluster(startup_nodes=nodes, **settings)
            return _Open(client, client.aclose, self._max_connections, cluster=True)
        pool = given.connection_pool
        if "connection_pool" in pool.connection_kwargs:
            raise CacheBackendError(
                "a client made by Sentinel serves one event loop only, with decode_responses=False: give "
                "RedisBackend a URL instead, redis+sentinel://host:26379/NAME"
            )
        settings = {**pool.connection_kwargs, "decode_responses": False}
        client = module.Redis.from_pool(module.ConnectionPool(connection_class=pool.connection_class, **settings))
        return _Open(client, client.aclose, self._max_connections)


def _decodes(client: Any) -> bool:
    pool = getattr(client, "connection_pool", None)
    settings = client.connection_kwargs if pool is None else pool.connection_kwargs
    return bool(settings.get("decode_responses"))


async def _close_keeper(keeper: AsyncGenerator[None, None]) -> None:
    await keeper.aclose()


def _abandon(client: Any) -> None:
    """Close the sockets of a client whose loop is closed, without that loop."""
    pool = getattr(client, "connection_pool", None)
    holders = [pool] if pool is not None else list(client.get_nodes())
    for holder in holders:
        for connection in [*getattr(holder, "_available_connections", ()), *getattr(holder, "_in_use_connections", ()),
                           *getattr(holder, "_connections", ()), *getattr(holder, "_free", ())]:  # fmt: skip
            writer = getattr(connection, "_writer", None)
            connection._reader = connection._writer = None
            close_socket(getattr(writer, "transport", None))


class Link:
    """Sends commands and scripts; errors are raised as CacheBackendError with a remedy."""

    def __init__(self, clients: Clients, url: str) -> None:
        self.clients = clients
        self.url = url
        self._jobs: set[Job] = set()
        self._pid = os.getpid()

    def background(self, function: Callable[[], Awaitable[None]]) -> None:
        """Run a coroutine function on the process's background loop; `close` ends it."""
        if self._pid != os.getpid():  # the parent's do not run here
            self._jobs, self._pid = set(), os.getpid()
        job = Job()
        self._jobs.add(job)
        background.spawn(_run(job, function, self._jobs))

    async def close(self) -> None:
        """End what runs in the background and close the connections."""
        jobs = list(self._jobs) if self._pid == os.getpid() else []
        for job in jobs:
            job.stop()
        for job in jobs:
            await job.wait()
        await self.clients.close()

    @property
    def cluster(self) -> bool:
        """True when several nodes share the keys."""
        return self.clients.cluster

    async def execute(self, *words: Any) -> Any:
        """Send a command and return the reply."""
        try:
            return await self.clients.send(*words)
        except Exception as error:
            raise self.explain(error) from error

    async def script(self, script: Script, keys: Sequence[bytes], arguments: Sequence[Any]) -> Any:
        """Run a script; where the server does not know it (any more), send its text."""
        try:
            try:
                return await self.clients.send("EVALSHA", script.sha, len(keys), *keys, *arguments)
            except Exception as error:
                if "NOSCRIPT" not in str(error) and type(error).__name__ != "NoScriptError":
                    raise
            return await self.clients.send("EVAL", script.text, len(keys), *keys, *arguments)
        except Exception as error:
            explained = self.explain(error)
            if "READONLY" in said_by(explained) and self.clients.address.kind == "sentinel":
                # The server we are connected to is no longer the master: ask the sentinels again.
                with contextlib.suppress(Exception):
                    await (await self.clients.get()).client.connection_pool.disconnect()
            raise explained from error

    async def each_primary(self, *words: Any) -> list[Any]:
        """Send a command to every node that owns keys; return the replies."""
        return await together([node(*words) for node in await self.primaries()])

    async def primaries(self) -> list[Callable[..., Awaitable[Any]]]:
        """Return a function for each node that owns keys, which sends it a command."""
        if not self.cluster:
            return [self.execute]
        try:
            one = await self.clients.get()
            await one.client.initialize()
            return [self._at(node, one.gate) for node in one.client.get_primaries()]
        except Exception as error:
            raise self.explain(error) from error

    def _at(self, node: Any, gate: asyncio.Semaphore) -> Callable[..., Awaitable[Any]]:
        async def execute(*words: Any) -> Any:
            try:
                async with gate:
                    return await node.execute_command(*words)
            except Exception as error:
                raise self.explain(error) from error

        return execute

    def explain(self, error: Exception) -> CacheBackendError:
        """Return the error that the caller gets."""
        return explained(error, self.url)


async def _run(job: Job, function: Callable[[], Awaitable[None]], jobs: set[Job]) -> None:
    try:
        await job.run(function)
    finally:
        jobs.discard(job)


async def together(awaitables: Iterable[Awaitable[T]]) -> list[T]:
    """Await all at once, a few dozen at a time; return the results in order."""
    waiting = list(awaitables)
    if len(waiting) == 1:
        return [await waiting[0]]
    results: list[T] = []
    while waiting:
        some, waiting = waiting[:_TOGETHER], waiting[_TOGETHER:]
        tasks = [asyncio.ensure_future(one) for one in some]
        try:
            results += await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for one in waiting:
                if inspect.iscoroutine(one):
                    one.close()
            raise
    return results


_closing: set[asyncio.Task[None]] = set()
