"""`RedisBackend`: entries and vectors on a Redis server, shared by many machines."""

from __future__ import annotations

import json
import logging
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from semantic_llm_cache.arguments import check_count, check_namespace
from semantic_llm_cache.backends.checks import check_seconds, check_whole
from semantic_llm_cache.backends.redis.clients import Clients, Link, need_redis, together
from semantic_llm_cache.backends.redis.entries import LAYOUT, Names, Row, digest, encode, to_bytes, to_text
from semantic_llm_cache.backends.redis.lease import RedisLeases
from semantic_llm_cache.backends.redis.listen import RedisListener
from semantic_llm_cache.backends.redis.lua.entries import ADD
from semantic_llm_cache.backends.redis.server import (
    MOST_SHARDS,
    TOLD,
    WAYS,
    address_of,
    agree_on_shards,
    best_way,
    check_way,
    escaped,
)
from semantic_llm_cache.backends.redis.strategy import Limits, Way, is_live
from semantic_llm_cache.backends.redis.url import OPTIONS, SCHEMES, parse
from semantic_llm_cache.backends.redis.vectors import set_vectors
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.runtime.fork import fork_safe_lock
from semantic_llm_cache.similarity.base import Vector, unit
from semantic_llm_cache.storage.front import Front
from semantic_llm_cache.storage.records import Candidate, Text
from semantic_llm_cache.storage.urls import merged
from semantic_llm_cache.values.odd_text import escape, unescape

__all__ = ["RedisBackend"]

logger = logging.getLogger("semantic_llm_cache")

_PAGE = 500


_DEFAULTS: dict[str, Any] = {
    "prefix": "semantic_llm_cache:",
    "search": "auto",
    "shards": None,
    "timeout": 5.0,
    "connect_timeout": 2.0,
    "max_connections": 50,
    "front_size": 1024,
    "front_seconds": 1.0,
}
"""Used where neither the argument nor the option in the URL is given."""


class RedisBackend(RedisLeases):
    """Keeps entries on a Redis (or Valkey) server; every process and machine that names it shares them.

    Args:
        url: ``redis://[user:password@]host[:port][/db]``, ``rediss://`` for TLS, ``unix:///path``,
            ``redis+cluster://host1:7000,host2:7000``, ``redis+sentinel://host1:26379,host2/NAME[/db]``;
            ``rediss+cluster`` and ``rediss+sentinel`` too. The arguments below that are numbers or text, and
            TLS settings by redis-py's names (``ssl_ca_certs``, ...), may follow as options; what is given
            here wins.
        prefix: of all keys.
        search: how near entries are found. ``"search"``: the search module (``FT.*``), ``"vectorset"``:
            vector sets of Redis 8, ``"plain"``: any server from Redis 6 on, each process keeping a copy of
            the vectors. ``"auto"`` asks the server, once, and takes the first of these that it has. Nodes of
            a cluster that merely load the module, without a coordinator, cannot be searched by it. Entries
            written in one way are not seen in another: do not mix them on one server.
        client: a `redis.asyncio.Redis` or `RedisCluster` to use instead of `url`. It is left open. Loops
            other than the first to use it get clients of their own with its settings.
        shards: over how many slots of a cluster the keys are spread. The first process decides, and the number
            stays with the data. Default: 1 on one server; on a cluster 256 with the search
            module, else 6. An exact lookup or a write concerns one shard. A near lookup concerns every
            primary (search module), or every shard, all at once: more shards spread a busy scope's memory
            and writes over more nodes, and multiply the commands of each near lookup.
        timeout, connect_timeout: seconds to wait for a reply, for a connection.
        max_connections: most connections of one event loop; a call that finds none free waits.
        front_size, front_seconds: bounds of the `Front`, what is kept in this process of entries just read
            by key: how many, and for how long at most a change by another process may go unnoticed. 0 turns it
            off. With more than 2 seconds the backend listens to the server, which reports changes at once.
        clock: gives the wall time in seconds; default `time.time`.

    Raises:
        ValueError, TypeError: an argument that is not possible.
        CacheBackendError: the package redis is not installed; and from every method, when the server
            cannot be reached or refuses. The message says what to do, and never holds a password.

    An exact hit, a near hit (after the embedding) and a write each take one round trip. An entry and its
    vector are written by one script, together or not at all. Entries expire on the server by themselves, after
    what is left of their time when they are written, so clocks of clients and server need not agree; reads
    look at the time as well. What the server evicts (``maxmemory-policy allkeys-lru`` is fine) is gone for
    near lookups too. Nothing uses KEYS; `clear`, `scan`, `invalidate` and the size in `get_stats` walk over
    the keyspace with SCAN.

    Example:
        >>> backend = RedisBackend("redis://user:secret@cache.example:6379/0")
        >>> backend.url
        'redis://cache.example:6379/0'
    """

    vector_seconds = 7200.0
    url_schemes: ClassVar[tuple[str, ...]] = SCHEMES
    url_options: ClassVar[Mapping[str, Callable[[str], Any]]] = OPTIONS

    def __init__(
        self,
        url: str | None = None,
        *,
        prefix: str | None = None,
        search: str | None = None,
        client: Any = None,
        shards: int | None = None,
        timeout: float | None = None,
        connect_timeout: float | None = None,
        max_connections: int | None = None,
        front_size: int | None = None,
        front_seconds: float | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        if client is not None:
            if url is not None:
                raise ValueError("give RedisBackend a url or a client, not both")
            address = address_of(client)
        else:
            if url is not None and not isinstance(url, str):
                raise TypeError(f"url must be text, not {type(url).__name__}; a client is given as client=")
            address = parse("redis://localhost:6379/0" if url is None else url)
        need_redis()
        given: dict[str, Any] = {
            "prefix": prefix, "search": search, "shards": shards, "timeout": timeout,
            "connect_timeout": connect_timeout, "max_connections": max_connections, "front_size": front_size,
            "front_seconds": front_seconds,
        }  # fmt: skip
        options = merged(_DEFAULTS, address.arguments, given)
        self.prefix = _check_prefix(options["prefix"])
        if options["search"] not in ("auto", *WAYS):
            raise ValueError(f"search= must be one of auto, {', '.join(WAYS)}")
        self.search = options["search"]
        self.shards = None if options["shards"] is None else check_whole(options["shards"], "shards", 1, MOST_SHARDS)
        self.front = Front(options["front_size"], options["front_seconds"])
        self.clock = clock or time.time
        self._url = address.shown
        clients = Clients(
            address,
            client,
            timeout=check_seconds(options["timeout"], "timeout"),
            connect_timeout=check_seconds(options["connect_timeout"], "connect_timeout"),
            max_connections=check_whole(options["max_connections"], "max_connections", 1, 1 << 20),
        )
        self._link = Link(clients, self._url)
        self._listener = RedisListener(self._link, self.front)
        weakref.finalize(self, self._listener.stop).atexit = False
        self._way: Way | None = None
        self._lock = fork_safe_lock()
        self._hits = self._misses = 0

    @classmethod
    def from_url(cls, url: str) -> RedisBackend:
        """Return a backend from its URL. Raises ValueError: what is wrong with it."""
        return cls(url)

    @property
    def url(self) -> str:
        """The address without credentials and options."""
        return self._url

    @property
    def way(self) -> str | None:
        """How near entries are found: ``search``, ``vectorset`` or ``plain``; None until the server was asked."""
        return None if self._way is None else self._way.name

    def __repr__(self) -> str:
        return f"RedisBackend({self._url!r}, prefix={self.prefix!r}, search={self.search!r})"

    # ------------------------------------------------------------------------------ by key

    async def ping(self) -> bool:
        """Check that the server answers, and how it can search. CacheBackendError when it does not answer."""
        await self._link.execute("PING")
        await self._ask()
        return True

    async def get(self, key: str) -> CacheEntry | None:
        """Return the live entry under `key`, or None; its hits are those of when it was stored, see `get_many`."""
        way = self._way or await self._ask()
        entry = await way.get(to_bytes(key), self.clock())
        self._count(entry is not None)
        return entry

    async def recall(self, key: str, text: Text) -> tuple[CacheEntry | None, Vector | None]:
        """Return the live entry under `key`, else the vector of a text if `keep_vectors` was given it."""
        way = self._way or await self._ask()
        entry, vector = await way.recall(to_bytes(key), text, self.clock())
        self._count(entry is not None)
        return entry, vector

    async def keep_vectors(self, vectors: Mapping[Text, Any]) -> None:
        """Keep the vectors of texts, each for `vector_seconds`."""
        way = self._way or await self._ask()
        await way.keep_vectors(vectors, max(1, int(self.vector_seconds * 1000)))

    async def get_many(self, keys: Sequence[str], *, touch: bool = True) -> list[CacheEntry | None]:
        """Return the live entries under `keys`, in order.

        With `touch` False they are not counted; but for the server's own eviction order it is a use.
        """
        if not touch:
            await self.settle()
        way = self._way or await self._ask()
        entries = await way.get_many([to_bytes(key) for key in keys], self.clock())
        if touch:
            for entry in entries:
                self._count(entry is not None)
        return entries

    async def set(self, key: str, entry: CacheEntry) -> None:
        """Store `entry`; the server has it, with its vector, when this returns."""
        await self.set_many([(key, entry)])

    async def set_many(self, items: Iterable[tuple[str, CacheEntry]]) -> int:
        """Store all items, some at a time; return how many."""
        way = self._way or await self._ask()
        count, rows = 0, []
        for key, entry in items:
            rows.append(self._encoded(key, entry))
            if len(rows) == _PAGE:
                await self._write(way, rows)
                count, rows = count + len(rows), []
        if rows:
            await self._write(way, rows)
        return count + len(rows)

    async def set_vectors(self, items: Sequence[tuple[str, str, Any]], embedder: str) -> list[bool]:
        """Give entries with these prompts vectors of another embedder; return for each whether it was done."""
        way = self._way or await self._ask()
        new = [(key, prompt, unit(vector)) for key, prompt, vector in items]
        done: list[bool] = []
        with self._changing([key for key, _, _ in new]):
            for start in range(0, len(new), _PAGE):
                some = new[start : start + _PAGE]
                done += await set_vectors(way, some, embedder, self.clock(), self._encoded)
        return done

    def _encoded(self, key: str, entry: CacheEntry) -> Row:
        return encode(key, entry, self.clock(), injected=self.clock is not time.time)

    async def _write(self, way: Way, rows: list[Any]) -> None:
        with self._changing([to_text(row.key) for row in rows]):
            await way.write(rows)

    async def delete(self, key: str) -> bool:
        """Remove the entry; True when there was a live one."""
        return bool(await self.delete_many([key]))

    async def delete_many(self, keys: Iterable[str]) -> int:
        """Delete each key; return how many live ones there were."""
        way = self._way or await self._ask()
        wanted = list(dict.fromkeys(keys))
        count = 0
        for start in range(0, len(wanted), _PAGE):
            some = wanted[start : start + _PAGE]
            count += await self._remove(way, [to_bytes(key) for key in some])
        return count

    async def _remove(self, way: Way, keys: list[bytes]) -> int:
        with self._changing([to_text(key) for key in keys]):
            return await way.remove(keys, self.clock())

    # ---------------------------------------------------------------------------- all of them

    async def clear(self, namespace: str | None = None) -> int:
        """Remove all entries, or those of one namespace, in steps; return how many were live."""
        check_namespace(namespace)
        way = self._way or await self._ask()
        wanted = None if namespace is None else Limits(namespace).namespace_digest.encode()
        count = 0
        async for keys in self._pages(way, _PAGE):
            if wanted is not None:
                keys = [key for key, digest, _ in await way.summaries(keys) if digest == wanted]
            if keys:
                count += await self._remove(way, keys)
        await self._clear_vectors(way, None if namespace is None else digest(namespace))
        return count

    async def _clear_vectors(self, way: Way, namespace: str | None) -> None:
        """Remove the vectors of texts, of one namespace by its digest, or all."""
        pattern = way.names.texts(namespace)
        for node in await self._link.primaries():
            cursor: Any = 0
            while True:
                cursor, names = await node("SCAN", cursor, "MATCH", pattern, "COUNT", 2 * _PAGE)
                await together([self._link.execute("UNLINK", name) for name in names])
                if not int(cursor):
                    break

    async def scan(self, batch_size: int = 500, namespace: str | None = None) -> AsyncIterator[tuple[str, CacheEntry]]:
        """Yield all live entries, in the order in which the server walks over them.

        It remembers the keys it has seen, so as to show none twice: some 100 bytes for each.
        """
        check_namespace(namespace)
        check_count(batch_size, "batch_size")
        await self.settle()
        way = self._way or await self._ask()
        with way.damage.together():
            async for keys in self._pages(way, batch_size):
                entries = await way.get_many(keys, self.clock())
                for key, entry in zip(keys, entries, strict=True):
                    if entry is not None and namespace in (None, entry.namespace):
                        yield to_text(key), entry

    async def _pages(self, way: Way, size: int) -> AsyncIterator[list[bytes]]:
        """Yield the keys of all entries, about `size` at a time, none twice."""
        seen: set[bytes] = set()
        pattern = way.names.pattern()
        for node in await self._link.primaries():
            cursor: Any = 0
            while True:
                cursor, names = await node("SCAN", cursor, "MATCH", pattern, "COUNT", size)
                keys = [key for key in map(way.names.key, names) if key is not None and key not in seen]
                keys = list(dict.fromkeys(keys))
                seen.update(keys)
                for start in range(0, len(keys), size):
                    yield keys[start : start + size]
                if not int(cursor):
                    break

    # --------------------------------------------------------------------------- by vector

    async def find_candidates(
        self,
        embedding: Vector | Sequence[float],
        threshold: float,
        *,
        k: int = 8,
        namespace: str | None = None,
        scope: str | None = None,
        embedder: str | None = None,
    ) -> list[Candidate]:
        """Return up to `k` live entries at or above `threshold`, nearest first.

        With `scope` and `embedder` given, as the engine does, this is one round trip.
        """
        query = unit(embedding)
        way = self._way or await self._ask()
        found = await way.near(query, k, threshold, Limits(namespace, scope, embedder), self.clock())
        self._count(bool(found))
        return found[:k]

    # ---------------------------------------------------------------------------- the rest

    async def record_hits(self, hits: Mapping[str, int], now: float) -> None:
        """Add to hit counts and set the access times. Times to live stay as they are."""
        if hits:
            way = self._way or await self._ask()
            await way.record_hits({to_bytes(key): count for key, count in hits.items()}, now)

    async def add_counters(self, namespace: str, counters: Mapping[str, float]) -> None:
        """Add to the running counters of a namespace."""
        words: list[str] = []
        for name, value in counters.items():
            words += [json.dumps([escape(namespace), escape(name)]), repr(float(value))]
        if words:
            await self._link.script(ADD, [to_bytes(self._name("counters"))], words)

    async def get_counters(self) -> dict[str, dict[str, float]]:
        """Return the sums by namespace, of all processes."""
        await self.settle()
        stored = await self._link.execute("HGETALL", to_bytes(self._name("counters")))
        pairs = stored.items() if isinstance(stored, dict) else zip(stored[::2], stored[1::2], strict=True)
        sums: dict[str, dict[str, float]] = {}
        for field, value in pairs:
            namespace, name = map(unescape, json.loads(field))
            sums.setdefault(namespace, {})[name] = float(value)
        return sums

    async def get_state(self, name: str) -> bytes | None:
        """Return a named blob, or None."""
        found: bytes | None = await self._link.execute("GET", to_bytes(self._name(f"state:{name}")))
        return found

    async def get_states(self, names: Sequence[str]) -> list[bytes | None]:
        """Return the named blobs, in order; None for those that are not there. On a cluster one command for each."""
        if self._link.cluster or len(names) < 2:
            return await together([self.get_state(name) for name in names])
        return list(await self._link.execute("MGET", *[to_bytes(self._name(f"state:{name}")) for name in names]))

    async def set_state(self, name: str, value: bytes | None) -> None:
        """Store a named blob, or remove it with None."""
        if value is None:
            await self._link.execute("DEL", to_bytes(self._name(f"state:{name}")))
        else:
            await self._link.execute("SET", to_bytes(self._name(f"state:{name}")), bytes(value))

    async def list_states(self, prefix: str = "") -> list[str]:
        """Return the names of the blobs that begin with `prefix`. Walks over all keys of the server with SCAN."""
        begin = to_bytes(self._name("state:"))
        found: set[bytes] = set()
        for node in await self._link.primaries():
            cursor: Any = 0
            while True:
                cursor, names = await node("SCAN", cursor, "MATCH", escaped(begin) + b"*", "COUNT", 2 * _PAGE)
                found.update(name for name in names if name.startswith(begin))
                if not int(cursor):
                    break
        return sorted(name for one in found if (name := to_text(one[len(begin) :])).startswith(prefix))

    async def get_stats(self) -> dict[str, Any]:
        """Return size and way; hits and misses of this process.

        The size is counted by SCAN: about half a second for a million keys.
        """
        way = self._way or await self._ask()
        now, size = self.clock(), 0
        async for keys in self._pages(way, 2 * _PAGE):
            if self.clock is time.time:
                size += len(keys)  # the server shows none that is expired
            else:
                size += sum(is_live(expires, now) for _, _, expires in await way.summaries(keys))
        return {
            "backend": "redis",
            "url": self._url,
            "way": way.name,
            "size": size,
            **self.tally(self._hits, self._misses),
            "shards": way.names.shards,
            **await way.stats(),
        }

    async def close(self) -> None:
        """Close the connections of all event loops. The next use makes new ones."""
        if self._way is not None:
            self._way.rest()
        await self._listener.close()
        await self._link.close()
        if self._way is not None:
            self._way.damage.tell(at_once=True)

    def _name(self, what: str) -> str:
        return f"{self.prefix}{LAYOUT}:{what}"

    def _count(self, hit: bool) -> None:
        if hit:
            self._hits += 1
        else:
            self._misses += 1

    # ------------------------------------------------------------------- what the server can

    async def _ask(self) -> Way:
        """Return how entries are kept and searched; the first time, ask the server."""
        if self._way is not None:
            return self._way
        name = self.search
        if name == "auto":
            name = await best_way(self._link, self.prefix)
        else:
            await check_way(self._link, self.prefix, name)
        kind = WAYS[name]
        shards = await agree_on_shards(self._link, self._name(f"shards:{kind.letter}"), kind, self.shards)
        with self._lock:
            if self._way is None:
                way = kind(self._link, Names(self.prefix, kind.letter, shards))
                self._listener.names = way.names
                self._way = way
                logger.info(
                    "semantic-llm-cache: %s: near entries are found by %s%s",
                    self._url,
                    TOLD[name],
                    "" if self.search != "auto" else " (search='auto')",
                )
            return self._way


def _check_prefix(prefix: Any) -> str:
    if not isinstance(prefix, str) or not prefix:
        raise ValueError(f"prefix={prefix!r} must be text that is not empty, such as 'semantic_llm_cache:'")
    return prefix
