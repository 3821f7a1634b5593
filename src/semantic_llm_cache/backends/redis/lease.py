"""Leases on a Redis server: which process answers for a key at the moment.

A lease is a hash beside its entry, in the same slot of a cluster: ``t`` is the token, ``u`` the time when it runs
out by the server's clock, in milliseconds, and ``w`` is there when a process waits. The hash stays for a while after
the lease has run out, so that a holder that no other process has replaced may still store. The script that stores
also gives the lease back, and sends a message if a process waits.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from semantic_llm_cache.backends.redis.clients import Link
from semantic_llm_cache.backends.redis.entries import Names, Row, digest, to_bytes
from semantic_llm_cache.backends.redis.listen import RedisListener
from semantic_llm_cache.backends.redis.lua import lease as lua
from semantic_llm_cache.backends.redis.lua.conditional import leased
from semantic_llm_cache.backends.redis.lua.script import Script
from semantic_llm_cache.backends.redis.strategy import LeaseLost, Way
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.storage.contract import CandidateBackend
from semantic_llm_cache.storage.records import Held, Lease

__all__ = ["RedisLeases"]

_KEPT_MS = 600_000


class _Guard:
    """Lets a put run only while a lease is held; see `Way.put`."""

    def __init__(self, names: Names, key: bytes, lease: Lease) -> None:
        self._key = names.lease(key)
        self._arguments = (lease.token, names.freed, digest(lease.key))

    async def script(self, link: Link, script: Script, keys: list[bytes], arguments: list[Any]) -> Any:
        reply = await link.script(leased(script), [*keys, self._key], [*arguments, *self._arguments])
        if not reply[0]:
            raise LeaseLost
        return reply[1] if len(reply) > 1 else None


class RedisLeases(CandidateBackend):
    """The part of `RedisBackend` that gives leases."""

    gives_leases = True

    _link: Link
    _listener: RedisListener

    @abstractmethod
    async def _ask(self) -> Way:
        """Return how entries are kept and searched; the first time, ask the server."""

    @abstractmethod
    def _encoded(self, key: str, entry: CacheEntry) -> Row:
        """Return an entry as it is sent."""

    async def acquire_lease(self, key: str, token: str, seconds: float) -> Lease | Held:
        """Take the lease on `key` if it is free."""
        names = (await self._ask()).names
        name = to_bytes(key)
        reply = await self._link.script(
            lua.ACQUIRE, [names.lease(name), names.entry(name)], [token, int(seconds * 1000), _kept(seconds)]
        )
        if reply[0]:
            return Lease(key, token, bool(reply[1]))
        return Held(reply[1].decode("ascii", "replace"), reply[2] / 1000)

    async def renew_lease(self, lease: Lease, seconds: float) -> bool:
        """Renew the lease from now on; False when another one was given since."""
        names = (await self._ask()).names
        arguments = [lease.token, int(seconds * 1000), _kept(seconds)]
        return bool(await self._link.script(lua.RENEW, [names.lease(to_bytes(lease.key))], arguments))

    async def release_lease(self, lease: Lease) -> None:
        """Give the lease back."""
        names = (await self._ask()).names
        arguments = [lease.token, names.freed, digest(lease.key)]
        await self._link.script(lua.RELEASE, [names.lease(to_bytes(lease.key))], arguments)

    async def wait_for_lease(self, key: str, seconds: float) -> None:
        """Wait for a message by pub/sub; where none can be heard, look from time to time."""
        names = (await self._ask()).names

        async def look(mark: bool) -> float:
            left: int = await self._link.script(lua.LOOK, [names.lease(to_bytes(key))], [int(mark)])
            return left / 1000

        await self._listener.wait(digest(key), seconds, look)

    async def set_leased(self, lease: Lease, entry: CacheEntry) -> bool:
        """Store the entry and give the lease back; False when another lease was given since."""
        way = await self._ask()
        row = self._encoded(lease.key, entry)
        with self._changing([lease.key]):
            if row.milliseconds < 0:  # expired already: nothing to store
                await self.release_lease(lease)
                return True
            await way.prepare([row])
            try:
                await way.put(way.names.shard(row.key), [row], _Guard(way.names, row.key, lease))
            except LeaseLost:
                return False
        return True


def _kept(seconds: float) -> int:
    return int(seconds * 1000) + _KEPT_MS
