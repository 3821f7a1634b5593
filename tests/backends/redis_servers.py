"""Real Redis servers for tests: started once per session and process, ended by their ids."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from scripts.servers.redis import RedisCluster, RedisServer  # noqa: E402

_running: dict[str, RedisServer | RedisCluster] = {}


def server_url(kind: str) -> str:
    """Return the address of a server of a kind: search, vectorset, plain, cluster.

    ``REDIS_URL`` names one to use instead for the ways that it offers; only keys under prefixes of the
    tests are touched there.
    """
    given = os.environ.get("REDIS_URL")
    if given and kind != "cluster" and kind in _ways_of(given):
        return given
    if kind not in _running:
        server: RedisServer | RedisCluster = RedisCluster("vectorset") if kind == "cluster" else RedisServer(kind)
        server.start()
        _running[kind] = server
    return _running[kind].url


_known: dict[str, frozenset[str]] = {}


def _ways_of(url: str) -> frozenset[str]:
    if url not in _known:
        import redis

        found = {"plain"}
        with redis.Redis.from_url(url) as client:
            for way, words in (("search", ("FT._LIST",)), ("vectorset", ("VCARD", "semantic_llm_cache_test:none"))):
                try:
                    client.execute_command(*words)
                    found.add(way)
                except redis.ResponseError:
                    pass
        _known[url] = frozenset(found)
    return _known[url]


def own_prefix() -> str:
    """Return a prefix that no other test uses."""
    return f"semantic_llm_cache_test:{uuid.uuid4().hex[:12]}:"


def emptied(backend):
    """Return the backend, with nothing left of an earlier test under its prefix."""

    async def empty():
        await backend.clear()
        await backend.close()

    asyncio.run(empty())
    return backend


@atexit.register
def stop_all() -> None:
    """End the servers of this process."""
    while _running:
        _running.popitem()[1].stop()


class Proxy:
    """A TCP relay on a free port, in the running loop, that counts round trips and cuts connections on demand."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.port = 0
        self.round_trips = 0
        self.cut_after: int | None = None
        self.cuts = 0
        self._tasks: set[asyncio.Task] = set()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _relay(self, reader, writer) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        other_reader, other_writer = await asyncio.open_connection("127.0.0.1", self.target)
        answered = [True]

        async def there():
            while data := await reader.read(1 << 20):
                self.round_trips += answered[0]
                answered[0] = False
                other_writer.write(data)
                await other_writer.drain()

        async def back():
            while data := await other_reader.read(1 << 20):
                answered[0] = True
                if self.cut_after is not None:
                    writer.write(data[: self.cut_after])
                    await writer.drain()
                    self.cut_after = None
                    self.cuts += 1
                    return
                writer.write(data)
                await writer.drain()

        jobs = [asyncio.ensure_future(there()), asyncio.ensure_future(back())]
        try:
            await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:  # the test has failed and leaves
            pass
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
            for one in (writer, other_writer):
                one.close()
                try:
                    await one.wait_closed()
                except (OSError, asyncio.CancelledError):
                    pass
            self._tasks.discard(task)
