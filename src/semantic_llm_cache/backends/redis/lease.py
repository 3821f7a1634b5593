"""Leases on a Redis server: which process at a time answers for a key.

A lease is a hash beside its entry, in the same slot of a cluster: ``t`` the token, ``u`` until when it runs by the
server's clock, in milliseconds, ``w`` there when somebody waits. It stays for a while after it has run out, so that
a leader whom nobody has followed may still store. Storing and giving back are one script with the put itself; who
waits is told by a message, which is sent only when somebody waits.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import lru_cache
from typing import Any

from semantic_llm_cache.backends.redis.clients import Link, Script
from semantic_llm_cache.backends.redis.entries import Names, Row, digest
from semantic_llm_cache.backends.redis.listen import RedisListener
from semantic_llm_cache.backends.redis.strategy import LeaseLost, Way
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.storage.contract import CandidateBackend, Held, Lease

__all__ = ["RedisLeases"]

_KEPT_MS = 600_000

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

# KEYS: lease, entry. ARGV: token, milliseconds to run, milliseconds to keep. What is not a lease there is removed.
_ACQUIRE = Script(
    _NOW
    + """
local has = redis.pcall('HMGET', KEYS[1], 't', 'u')
if has.err then
  redis.call('UNLINK', KEYS[1])
  has = {false, false}
end
local left = (tonumber(has[2] or '') or 0) - now
if has[1] and has[1] ~= ARGV[1] and left > 0 then return {0, has[1], left} end
redis.call('HSET', KEYS[1], 't', ARGV[1], 'u', string.format('%.0f', now + ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {1, redis.call('EXISTS', KEYS[2])}
"""
)

# KEYS: lease. ARGV: token, milliseconds to run, milliseconds to keep.
_RENEW = Script(
    _NOW
    + """
if redis.pcall('HGET', KEYS[1], 't') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'u', string.format('%.0f', now + ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""
)

# KEYS: lease. ARGV: 1 to note that somebody waits. Returns the milliseconds it still runs.
_LOOK = Script(
    _NOW
    + """
local till = redis.pcall('HGET', KEYS[1], 'u')
if type(till) ~= 'string' then return 0 end
local left = (tonumber(till) or 0) - now
if left <= 0 then return 0 end
if ARGV[1] == '1' then redis.call('HSET', KEYS[1], 'w', 1) end
return left
"""
)

_GIVE_BACK = """
local function give_back(lease, channel, name)
  local waited = redis.pcall('HEXISTS', lease, 'w')
  redis.call('UNLINK', lease)
  if waited == 1 then redis.pcall('PUBLISH', channel, name) end
end
"""

# KEYS: lease. ARGV: token, channel, the lease's name.
_RELEASE = Script(
    _GIVE_BACK
    + """
if redis.pcall('HGET', KEYS[1], 't') == ARGV[1] then give_back(KEYS[1], ARGV[2], ARGV[3]) end
"""
)


@lru_cache(maxsize=16)
def leased(script: Script) -> Script:
    """Return the script done only with a lease, which is then given back: its key, and ARGV of `_RELEASE`, follow."""
    return Script(
        _GIVE_BACK
        + """
local lease, token, channel, name = KEYS[#KEYS], ARGV[#ARGV - 2], ARGV[#ARGV - 1], ARGV[#ARGV]
if redis.pcall('HGET', lease, 't') ~= token then return {0} end
local keys, arguments = {}, {}
for i = 1, #KEYS - 1 do keys[i] = KEYS[i] end
for i = 1, #ARGV - 3 do arguments[i] = ARGV[i] end
local function put(KEYS, ARGV)
"""
        + script.text
        + """
end
local result = put(keys, arguments)
if type(result) == 'table' and result.err then return result end
give_back(lease, channel, name)
return {1, result}
"""
    )


class _Guard:
    """Has a put done only with a lease; see `Way.put`."""

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
        """Return the way, asking the server the first time."""

    @abstractmethod
    def _encoded(self, key: str, entry: CacheEntry) -> Row:
        """Return an entry as it is sent."""

    async def acquire_lease(self, key: str, token: str, seconds: float) -> Lease | Held:
        """Take the lease on `key` if nobody has it."""
        names = (await self._ask()).names
        raw = key.encode()
        reply = await self._link.script(
            _ACQUIRE, [names.lease(raw), names.entry(raw)], [token, int(seconds * 1000), _kept(seconds)]
        )
        if reply[0]:
            return Lease(key, token, bool(reply[1]))
        return Held(reply[1].decode("ascii", "replace"), reply[2] / 1000)

    async def renew_lease(self, lease: Lease, seconds: float) -> bool:
        """Have the lease run from now; False when another one was given since."""
        names = (await self._ask()).names
        arguments = [lease.token, int(seconds * 1000), _kept(seconds)]
        return bool(await self._link.script(_RENEW, [names.lease(lease.key.encode())], arguments))

    async def release_lease(self, lease: Lease) -> None:
        """Give the lease back."""
        names = (await self._ask()).names
        arguments = [lease.token, names.freed, digest(lease.key)]
        await self._link.script(_RELEASE, [names.lease(lease.key.encode())], arguments)

    async def wait_for_lease(self, key: str, seconds: float) -> None:
        """Wait to be told by pub/sub; where nothing is heard, look from time to time."""
        names = (await self._ask()).names

        async def look(mark: bool) -> float:
            left: int = await self._link.script(_LOOK, [names.lease(key.encode())], [int(mark)])
            return left / 1000

        await self._listener.wait(digest(key), seconds, look)

    async def set_leased(self, lease: Lease, entry: CacheEntry) -> bool:
        """Store the entry and give the lease back; False when it is no longer the last one given."""
        way = await self._ask()
        row = self._encoded(lease.key, entry)
        front = self.front
        try:
            if front is not None:
                front.drop(lease.key)
            if row.milliseconds < 0:  # its time is over: nothing to store
                await self.release_lease(lease)
                return True
            await way.prepare([row])
            await way.put(way.names.shard(row.key), [row], _Guard(way.names, row.key, lease))
        except LeaseLost:
            return False
        finally:
            if front is not None:
                front.drop(lease.key)
        return True


def _kept(seconds: float) -> int:
    return int(seconds * 1000) + _KEPT_MS
