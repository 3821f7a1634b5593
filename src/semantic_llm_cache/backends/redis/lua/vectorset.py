"""`VectorSets`: entries, and the sets that their vectors are in."""

from __future__ import annotations

from semantic_llm_cache.backends.redis.lua.entries import COUNTED
from semantic_llm_cache.backends.redis.lua.script import Script

__all__ = ["DROP", "NEAR", "PUT", "RESTORE", "SWEEP"]

# Beside each set is a mark that lives as long as the set. A mark without its set shows that the set was deleted by
# another program: when all members are removed or expired, the mark goes too.
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
# names of the entries begin with, then for each entry: member, d, v, x, milliseconds, p, s, n, h, a. The set is
# written first: a full server refuses there. Returns the places whose sets had been deleted.
PUT = Script(
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
RESTORE = Script(
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
DROP = Script(
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
NEAR = Script(
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

# KEYS: the set, its mark. ARGV: what the names of its entries begin with, its place, members. A member whose
# entry was stored meanwhile stays.
SWEEP = Script("""
local gone = 0
for i = 3, #ARGV do
  local place = redis.pcall('HGET', ARGV[1] .. ARGV[i], 'p')
  if place ~= ARGV[2] then gone = gone + redis.call('VREM', KEYS[1], ARGV[i]) end
end
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('UNLINK', KEYS[2]) end
return gone
""")
