"""Near entries by the vector sets of Redis 8: one set for each scope and embedder.

A set's member is the key of an entry, and entries expire while members do not: a member counts only if its
entry is there and says that it belongs to this very set. Members that fail this are told by the reads
that meet them and removed in the background. Vectors in the sets are 8 bits per component (the server's own
default); the entries hold them whole, and who is near is weighed with those. Inside a script the server
searches on its main thread, as with NOTHREAD: no dialect of `VSIM` beyond that of 8.0 is needed.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from typing import Any, ClassVar

from semantic_llm_cache.backends.redis.clients import Link, Script, together
from semantic_llm_cache.backends.redis.entries import Names, Row
from semantic_llm_cache.backends.redis.strategy import COUNTED, Guard, Limits, Way, logger
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.runtime import background
from semantic_llm_cache.runtime.fork import fork_safe_lock
from semantic_llm_cache.similarity.base import Vector
from semantic_llm_cache.storage.contract import Candidate

__all__ = ["VectorSets"]

_EF = 100
_SHORTENING = 0.02
"""What a score may be off by 8 bits per component; measured at 384 dimensions: 0.004."""
_SWEEP_AFTER = 0.25
_SWEEP_CHUNK = 50
_MOST_DEAD = 10_000
_RESTORE_SECONDS = 60.0
_MOST_RESTORED = 4096

# Beside each set lies a mark that lives as long as the set. A mark without its set tells that somebody has deleted
# the set: one whose members were all removed, or have expired, takes its mark along.
_ADD = """
local function add(set, mark, vector, member, left)
  local there = redis.call('EXISTS', set) == 1
  local done = redis.pcall('VADD', set, 'FP32', vector, member, 'Q8')
  if type(done) == 'table' and done.err then
    if not string.find(done.err, 'WRONGTYPE') then return done end
    redis.call('UNLINK', set)
    redis.call('VADD', set, 'FP32', vector, member, 'Q8')
  end
  local lost = not there and redis.call('EXISTS', mark) == 1
  -- A set lives as long as the longest-lived of its entries.
  local lives = redis.call('PTTL', set)
  if left == 0 then
    redis.call('PERSIST', set)
    redis.call('SET', mark, '')
  elseif not there or (lives >= 0 and lives < left) then
    redis.call('PEXPIRE', set, left)
    redis.call('SET', mark, '', 'PX', left)
  end
  return lost
end
local function remove(set, mark, member)
  redis.pcall('VREM', set, member)
  if redis.call('EXISTS', set) == 0 then redis.call('UNLINK', mark) end
end
"""

# KEYS: entries, their counts of hits. ARGV: what the names of the sets begin with, the registry of the sets, what the
# names of the entries begin with, then for each entry: member, d, v, x, milliseconds, p, s, n, h, a. The set comes
# first: a server that is full refuses there. Returns the places whose sets had been deleted.
_PUT = Script(
    _ADD
    + """
local at, n, lost = 4, #KEYS / 2, {}
for i = 1, n do
  local key, member, vector, left, place = KEYS[i], ARGV[at], ARGV[at + 2], tonumber(ARGV[at + 4]), ARGV[at + 5]
  local old = redis.pcall('HGET', key, 'p')
  if type(old) == 'table' then
    redis.call('UNLINK', key)
    old = false
  end
  if place ~= '' then
    local set = ARGV[1] .. place
    local done = add(set, ARGV[2] .. ':' .. place, vector, member, left)
    if type(done) == 'table' then return done end
    if done then lost[#lost + 1] = place end
    -- Each write looks at two others of its set: where nobody asks, nobody reports the dead.
    for _, other in ipairs(redis.call('VRANDMEMBER', set, 2)) do
      if other ~= member and redis.pcall('HGET', ARGV[3] .. other, 'p') ~= place then
        redis.call('VREM', set, other)
      end
    end
  end
  redis.call('HSET', key, 'd', ARGV[at + 1], 'x', ARGV[at + 3], 'p', place, 's', ARGV[at + 6], 'n', ARGV[at + 7],
             'h', ARGV[at + 8], 'a', ARGV[at + 9])
  if place ~= '' then
    redis.call('HSET', key, 'v', vector)
    redis.pcall('SADD', ARGV[2], place)
  else
    redis.call('HDEL', key, 'v')
  end
  if left > 0 then redis.call('PEXPIRE', key, left) else redis.call('PERSIST', key) end
  redis.call('UNLINK', KEYS[n + i])
  if old and old ~= '' and old ~= place then remove(ARGV[1] .. old, ARGV[2] .. ':' .. old, member) end
  at = at + 10
end
return lost
"""
)

# KEYS: entries. ARGV: the set, its mark, its place, members. Adds those that belong there.
_RESTORE = Script(
    _ADD
    + """
local added = 0
for i = 1, #KEYS do
  local e = redis.pcall('HMGET', KEYS[i], 'p', 'v')
  if not e.err and e[1] == ARGV[3] and e[2] then
    local done = add(ARGV[1], ARGV[2], e[2], ARGV[i + 3], math.max(0, redis.call('PTTL', KEYS[i])))
    if type(done) == 'table' then return done end
    added = added + 1
  end
end
return added
"""
)

# KEYS: entries, their counts of hits. ARGV: what the names of the sets begin with, the registry, then the members.
_DROP = Script(
    _ADD
    + """
local out, n = {}, #KEYS / 2
for i = 1, n do
  local was = redis.pcall('HMGET', KEYS[i], 'p', 'x')
  out[i] = false
  if not was.err and was[2] then
    out[i] = was[2]
    if was[1] and was[1] ~= '' then remove(ARGV[1] .. was[1], ARGV[2] .. ':' .. was[1], ARGV[i + 2]) end
  end
  redis.call('UNLINK', KEYS[i], KEYS[n + i])
end
return out
"""
)

# KEYS: the set. ARGV: the vector, how many, the lowest score, the time in ms, the set's place, what the names of
# its entries begin with, the namespace's digest or nothing, EF, what the names of the counts of hits begin with, the
# set's mark. Returns entries, members without one, and 1 for a set that is none, 2 for one that was deleted.
# Members without a living entry take no place.
_NEAR = Script(
    COUNTED
    + """
local want, lowest, now, ef = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[8])
local out, dead, seen = {}, {}, {}
local count = math.max(want, 8)
while true do
  local found = redis.pcall('VSIM', KEYS[1], 'FP32', ARGV[1], 'WITHSCORES', 'COUNT', count, 'EF', math.max(ef, count))
  if found.err then
    if string.find(found.err, 'WRONGTYPE') then return {out, dead, 1} end
    return found
  end
  if #found == 0 and redis.call('EXISTS', KEYS[1]) == 0 and redis.call('EXISTS', ARGV[10]) == 1 then
    return {out, dead, 2}
  end
  for i = 1, #found, 2 do
    local member = found[i]
    if tonumber(found[i + 1]) < lowest then return {out, dead, 0} end
    if not seen[member] then
      seen[member] = true
      local e = redis.pcall('HMGET', ARGV[6] .. member, 'p', 'x', 'n')
      if e.err or e[1] ~= ARGV[5] then
        dead[#dead + 1] = member
      elseif (not e[2] or e[2] == '' or tonumber(e[2]) > now) and (ARGV[7] == '' or e[3] == ARGV[7]) then
        out[#out + 1] = {member, counted(ARGV[6] .. member, ARGV[9] .. member)}
        if #out >= want then return {out, dead, 0} end
      end
    end
  end
  if #found < 2 * count then return {out, dead, 0} end
  count = count * 4
end
"""
)

# KEYS: the set, its mark. ARGV: what the names of its entries begin with, its place, members. A member that has got an
# entry meanwhile stays.
_SWEEP = Script("""
local gone = 0
for i = 3, #ARGV do
  local place = redis.pcall('HGET', ARGV[1] .. ARGV[i], 'p')
  if place ~= ARGV[2] then gone = gone + redis.call('VREM', KEYS[1], ARGV[i]) end
end
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('UNLINK', KEYS[2]) end
return gone
""")


class VectorSets(Way):
    """One vector set per scope, embedder and dimension, in each shard."""

    name: ClassVar[str] = "vectorset"
    letter: ClassVar[str] = "v"
    cluster_shards: ClassVar[int] = 6
    write_chunk: ClassVar[int] = 16

    def __init__(self, link: Link, names: Names) -> None:
        super().__init__(link, names)
        self._lock = fork_safe_lock()
        self._dead: dict[tuple[int, str], set[bytes]] = {}
        self._sweeper = 0  # id of the process that has a sweep ahead of it
        self._wrong = False
        self.swept = 0
        self.restored = 0
        self._restoring: dict[tuple[int, str], float] = {}  # and when it may be done again

    async def put(self, shard: int, rows: Sequence[Row], guard: Guard | None = None) -> None:
        """Write entries and their vectors."""
        arguments: list[Any] = [
            self.names.other("v", shard), self.names.other("sets", shard), self.names.entries(shard)
        ]  # fmt: skip
        for row in rows:
            arguments += [row.key, row.data, row.vector, row.expires, row.milliseconds, row.place, row.scope,
                          row.namespace, row.hits, row.accessed]  # fmt: skip
        for place in await self.put_script(_PUT, self.with_counts([row.key for row in rows]), arguments, guard) or ():
            self._restore_later(shard, place.decode())

    async def drop(self, shard: int, keys: Sequence[bytes]) -> list[bytes | None]:
        """Remove entries; return what each held."""
        names = self.with_counts(keys)
        found: list[bytes | None] = await self.link.script(
            _DROP, names, [self.names.other("v", shard), self.names.other("sets", shard), *keys]
        )
        return found

    async def near(self, query: Vector, k: int, threshold: float, limits: Limits, now: float) -> list[Candidate]:
        """Return the nearest live entries."""
        place = limits.place(query.shape[0])
        if place is not None:
            searches = [(shard, place) for shard in range(self.names.shards)]
        else:
            searches = await self._places(query.shape[0], limits)
        raw = query.astype("<f4", copy=False).tobytes()
        wanted = k + 2  # a little more than asked for: the order is settled with the whole vectors
        while True:
            found = await together([self._search(one, raw, wanted, threshold, limits, now) for one in searches])
            rows = [row for some in found for row in some]
            candidates = self.ranked(rows, query, threshold, limits, now)
            if len(candidates) >= k or all(len(some) < wanted for some in found):
                return candidates
            if all(self.entry(*row, now) is not None for row in rows):
                return candidates
            wanted *= 4  # damaged ones took the places of others

    async def _search(
        self, which: tuple[int, str], raw: bytes, wanted: int, threshold: float, limits: Limits, now: float
    ) -> list[tuple[bytes, Any]]:
        shard, place = which
        # The score is (1 + cosine) / 2.
        lowest = (1.0 + threshold - _SHORTENING) / 2 if threshold > _SHORTENING else -1.0
        prefix = self.names.entries(shard)
        arguments = [raw, wanted, lowest, int(now * 1000), place, prefix, limits.namespace_digest, _EF,
                     self.names.hits(shard), self._mark(shard, place)]  # fmt: skip
        found, dead, wrong = await self.link.script(_NEAR, [self.names.other("v", shard, place)], arguments)
        if dead:
            self._bury(shard, place, dead)
        if wrong == 2:
            self._restore_later(shard, place)
        if wrong == 1 and not self._wrong:
            self._wrong = True
            logger.warning(
                "semantic-llm-cache: %s: where a vector set should be, another program has put something else; "
                "it is replaced when an entry of its scope is stored",
                self.link.url,
            )
        return [(member, fields) for member, fields in found]

    async def _places(self, dimension: int, limits: Limits) -> list[tuple[int, str]]:
        """Return the sets to look in when scope or embedder are not given. Reads the registry in steps."""
        pattern = f"{limits.scope_digest}*d{dimension}"
        found = []
        for shard in range(self.names.shards):
            cursor: Any = 0
            while True:
                cursor, names = await self.link.execute(
                    "SSCAN", self.names.other("sets", shard), cursor, "MATCH", pattern, "COUNT", 500
                )
                found += [(shard, name.decode()) for name in names]
                if not int(cursor):
                    break
        return list(dict.fromkeys(found))

    # ------------------------------------------------------------------------- deleted sets

    def _mark(self, shard: int, place: str) -> bytes:
        return self.names.other("sets", shard, f":{place}")

    def _restore_later(self, shard: int, place: str) -> None:
        """Fill a set that somebody has deleted from its entries, in the background; once a minute at most."""
        now = time.monotonic()
        with self._lock:
            if now < self._restoring.get((shard, place), 0.0):
                return
            if len(self._restoring) >= _MOST_RESTORED:
                self._restoring.clear()
            first = not any(now < until for until in self._restoring.values())
            self._restoring[shard, place] = now + _RESTORE_SECONDS
        if first:
            logger.warning(
                "semantic-llm-cache: %s: a vector set was deleted by somebody, or evicted; its entries are looked "
                "for and put into a new one",
                self.link.url,
            )
        self.link.background(lambda: self._restore(shard, place))

    async def _restore(self, shard: int, place: str) -> None:
        set_, mark = self.names.other("v", shard, place), self._mark(shard, place)
        try:
            for node in await self.link.primaries():
                cursor: Any = 0
                while True:
                    cursor, names = await node("SCAN", cursor, "MATCH", self.names.pattern(), "COUNT", 500)
                    keys = [key for key in map(self.names.key, names) if key is not None]
                    for owner, some in self.chunks(keys, self.write_chunk):
                        if owner == shard:
                            entries = [self.names.entry(key) for key in some]
                            self.restored += await self.link.script(_RESTORE, entries, [set_, mark, place, *some])
                    if not int(cursor):
                        break
        except Exception as error:  # a search that meets it has it done again
            logger.debug("semantic-llm-cache: a vector set was not filled again: %s", describe(error))

    # ------------------------------------------------------------------------- dead members

    def _bury(self, shard: int, place: str, members: Sequence[bytes]) -> None:
        with self._lock:
            if sum(map(len, self._dead.values())) < _MOST_DEAD:
                self._dead.setdefault((shard, place), set()).update(members)
            before, self._sweeper = self._sweeper, os.getpid()
        if before != self._sweeper:
            background.call_later(_SWEEP_AFTER, self._sweep_soon)

    async def _sweep_soon(self) -> None:
        self._sweeper = 0
        if self._dead:
            self.link.background(self.sweep)

    def rest(self) -> None:
        """Leave the dead for another time."""
        with self._lock:
            self._dead = {}

    async def sweep(self) -> None:
        """Remove the members whose entries are gone."""
        with self._lock:
            dead, self._dead = self._dead, {}
        try:
            for (shard, place), members in dead.items():
                waiting = list(members)
                while waiting:
                    some, waiting = waiting[:_SWEEP_CHUNK], waiting[_SWEEP_CHUNK:]
                    arguments = [self.names.entries(shard), place, *some]
                    keys = [self.names.other("v", shard, place), self._mark(shard, place)]
                    self.swept += await self.link.script(_SWEEP, keys, arguments)
                    await asyncio.sleep(0)
        except Exception as error:  # the next read reports them again
            logger.debug("semantic-llm-cache: dead members were not removed: %s", describe(error))

    async def stats(self) -> dict[str, Any]:
        """Return figures about the indexes."""
        return {"swept": self.swept, "restored": self.restored}
