"""Connections: a client of redis-py per event loop, errors said in plain words, scripts.

A client of redis-py belongs to one event loop. Each loop gets its own when it first asks; it is closed
when the loop shuts down its asynchronous generators, as `asyncio.run` does, so that none is left behind
unclosed. A forked child leaves its parent's alone and makes its own.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import inspect
import os
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from semantic_llm_cache.backends.redis.errors import explained, said_by
from semantic_llm_cache.backends.redis.lua.script import Script
from semantic_llm_cache.backends.redis.url import Address
from semantic_llm_cache.exceptions import CacheBackendError
from semantic_llm_cache.runtime import background
from semantic_llm_cache.runtime.fork import fork_safe_lock

__all__ = ["Clients", "Link", "need_redis"]

T = TypeVar("T")

_TOGETHER = 32
"""Commands under way at once to a cluster, for one call of ours."""


def need_redis() -> Any:
    """Return the package `redis.asyncio`. CacheBackendError when it is not installed."""
    try:
        import redis.asyncio
    except ImportError as error:
        raise CacheBackendError('RedisBackend needs a package: pip install "semantic-llm-cache[redis]"') from error
    return redis.asyncio


class _Open:
    """The client of one loop."""

    __slots__ = ("client", "close", "closed", "gate", "keeper", "started", "starting")

    def __init__(self, client: Any, close: Callable[[], Awaitable[None]], most: int, *, cluster: bool = False) -> None:
        self.client = client
        self.close = close
        self.closed = False
        # A client fails when it has no connection left to give; a cluster's then drops those of all
        # others. (redis-py's pool that waits costs ten times as much as a semaphore.)
        self.gate = asyncio.Semaphore(most)
        self.keeper: AsyncGenerator[None, None] | None = None
        # Nor may two tasks at once be the first to use a cluster's client, or leave in the middle of it.
        self.started = not cluster
        self.starting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Have a cluster's client learn who owns what."""
        if self.starting is None:
            self.starting = asyncio.ensure_future(self._start())
        await asyncio.shield(self.starting)

    async def _start(self) -> None:
        try:
            await self.client.initialize()
            self.started = True
        finally:
            self.starting = None


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
        self._forked = False
        self._settings = {"socket_timeout": timeout, "socket_connect_timeout": connect_timeout}
        self._max_connections = max_connections
        self._open: dict[asyncio.AbstractEventLoop, _Open] = {}
        self._lock = fork_safe_lock()
        _all.add(self)
        weakref.finalize(self, _let_go, self._open).atexit = False

    async def send(self, *words: Any) -> Any:
        """Send a command by the client of the running loop; return the reply."""
        one = self._open.get(asyncio.get_running_loop())
        if one is None or not one.started:
            one = await self.get()
        await one.gate.acquire()  # `async with` takes two coroutines more, on every exact hit
        try:
            return await one.client.execute_command(*words)
        finally:
            one.gate.release()
            if one.closed:  # meanwhile: a second try may have connected again
                await one.close()

    async def get(self) -> _Open:
        """Return what there is for the running loop."""
        loop = asyncio.get_running_loop()
        found = self._open.get(loop)
        if found is not None:
            if not found.started:
                await found.start()
            return found
        made = self._make()
        with self._lock:
            gone = [old for old in self._open if old.is_closed()]
            left = [self._open.pop(old) for old in gone]
            self._open[loop] = made
        for one in left:
            _abandon(one.client)
        made.keeper = _keep(self._open, loop, made)
        await made.keeper.__anext__()
        if not made.started:
            await made.start()
        return made

    async def close(self) -> None:
        """Close the clients of all loops; the next use makes new ones."""
        here = asyncio.get_running_loop()
        with self._lock:
            held = dict(self._open)
            self._open.clear()
        for loop, one in held.items():
            if loop is here:
                if one.keeper is not None:
                    await one.keeper.aclose()
            elif loop.is_closed():
                _abandon(one.client)
            elif loop.is_running() and one.keeper is not None:
                with contextlib.suppress(Exception):
                    future = asyncio.run_coroutine_threadsafe(_close_keeper(one.keeper), loop)
                    await asyncio.wait_for(asyncio.wrap_future(future), 2.0)

    # -------------------------------------------------------------------------------- making

    def _make(self) -> _Open:
        if self._given is not None:
            return self._sibling(self._given)
        module = need_redis()
        from redis.asyncio.retry import Retry
        from redis.backoff import ExponentialBackoff

        settings = {**self._settings, **self.address.connection}
        # One more try after a connection that has gone: every operation here may be done twice.
        settings["retry"] = Retry(ExponentialBackoff(cap=0.05, base=0.01), 1)
        settings["retry_on_error"] = [module.ConnectionError]
        settings["protocol"] = 2
        if self.address.kind == "cluster":
            nodes = [module.cluster.ClusterNode(host, port) for host, port in self.address.hosts]
            del settings["retry"], settings["retry_on_error"]  # a cluster's client has its own ways
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
        if its_loop is loop and not self._forked and not _decodes(given):
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

    def _after_fork(self) -> None:
        _abandoned.append(dict(self._open))  # never closed here: the sockets are the parent's
        self._open.clear()
        self._forked = True


async def _keep(
    opened: dict[asyncio.AbstractEventLoop, _Open], loop: asyncio.AbstractEventLoop, made: _Open
) -> AsyncGenerator[None, None]:
    """Close a client when its loop ends its asynchronous generators."""
    try:
        yield
    finally:
        if opened.get(loop) is made:
            del opened[loop]
        made.closed = True
        with contextlib.suppress(Exception):
            if made.starting is not None:
                await made.starting
        with contextlib.suppress(Exception):
            await made.close()


def _let_go(opened: dict[asyncio.AbstractEventLoop, _Open]) -> None:
    """Close what a forgotten backend has left open."""
    for loop, one in list(opened.items()):
        if loop.is_closed():
            _abandon(one.client)
        elif one.keeper is not None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_close_soon, loop, one.keeper)
    opened.clear()


def _close_soon(loop: asyncio.AbstractEventLoop, keeper: AsyncGenerator[None, None]) -> None:
    task = loop.create_task(_close_keeper(keeper))
    _closing.add(task)
    task.add_done_callback(_closing.discard)


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
            transport: Any = getattr(writer, "transport", None)
            transport = getattr(transport, "_transport", None) or transport
            sock = getattr(transport, "_sock", None)
            if sock is not None:
                with contextlib.suppress(Exception):
                    transport._closing = True
                    transport._sock = None
                    sock.close()


class _Job:
    """Something that runs on the background loop and does not outlive `Link.close`."""

    def __init__(self) -> None:
        self.dropped = False
        self.pid = os.getpid()
        self.done: concurrent.futures.Future[None] = concurrent.futures.Future()
        self.task: asyncio.Task[None] | None = None

    async def run(self, function: Callable[[], Awaitable[None]], jobs: set[_Job]) -> None:
        self.task = asyncio.current_task()
        try:
            if not self.dropped:
                await function()
        except asyncio.CancelledError:
            if not self.dropped:
                raise
        finally:
            jobs.discard(self)
            self.task = None
            self.done.set_result(None)

    def drop(self) -> None:
        """End it as soon as may be."""
        self.dropped = True
        task = self.task
        if task is not None:
            with contextlib.suppress(RuntimeError):
                task.get_loop().call_soon_threadsafe(task.cancel)


class Link:
    """Sends commands and scripts; what goes wrong comes out as CacheBackendError with a remedy."""

    def __init__(self, clients: Clients, url: str) -> None:
        self.clients = clients
        self.url = url
        self._jobs: set[_Job] = set()

    def background(self, function: Callable[[], Awaitable[None]]) -> None:
        """Run a coroutine function on the process's background loop; `close` ends it."""
        job = _Job()
        self._jobs.add(job)
        background.spawn(job.run(function, self._jobs))

    async def close(self) -> None:
        """End what runs in the background and close the connections."""
        jobs = [job for job in list(self._jobs) if job.pid == os.getpid()]
        for job in jobs:
            job.drop()
        for job in jobs:
            with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
                await asyncio.wait_for(asyncio.wrap_future(job.done), 2.0)
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
        """Run a script; one that the server does not know (any more) is sent along."""
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
                # The server we are connected to is no longer the master: ask the sentinels anew.
                with contextlib.suppress(Exception):
                    await (await self.clients.get()).client.connection_pool.disconnect()
            raise explained from error

    async def each_primary(self, *words: Any) -> list[Any]:
        """Send a command to every node that owns keys; return the replies."""
        return await together([node(*words) for node in await self.primaries()])

    async def primaries(self) -> list[Callable[..., Awaitable[Any]]]:
        """Return for every node that owns keys a function that sends it a command."""
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
        """Return what the caller is to see."""
        return explained(error, self.url)


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


_all: weakref.WeakSet[Clients] = weakref.WeakSet()
_abandoned: list[Any] = []
_closing: set[asyncio.Task[None]] = set()


def _after_fork() -> None:
    for clients in list(_all):
        clients._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
