"""What all ways to search do with entries: read, sum up, count hits; and the counters."""

from __future__ import annotations

from semantic_llm_cache.backends.redis.lua.script import Script

__all__ = ["ADD", "COUNTED", "HITS", "KEEP", "READ", "RECALL", "SUMMARY"]

# Hits are counted in a key beside the entry. A change of the entry itself would drop it from every front that
# listens, and make the search module insert its vector into the graph again.
COUNTED = """
local function counted(entry, counts)
  local r = redis.pcall('HMGET', entry, 'd', 'v', 'h', 'a')
  if r.err then return 'damaged' end
  if r[1] then
    local more = redis.pcall('HMGET', counts, 'h', 'a')
    if not more.err and more[1] then
      r[3] = tostring(tonumber(r[3] or 0) + tonumber(more[1]))
      r[4] = more[2]
    end
  end
  return r
end
"""

# KEYS: entries, then the counts of hits of each.
READ = Script(
    COUNTED
    + """
local out, n = {}, #KEYS / 2
for i = 1, n do out[i] = counted(KEYS[i], KEYS[n + i]) end
return out
"""
)

# KEYS: an entry, the vector of a text. Returns the entry's fields, or the vector where there is no entry.
RECALL = Script("""
local r = redis.call('HMGET', KEYS[1], 'd', 'v', 'h', 'a')
if r[1] or r[2] or r[3] or r[4] then return r end
return redis.call('GET', KEYS[2])
""")

# KEYS: of vectors. ARGV: milliseconds to live, then the vectors.
KEEP = Script("""
for i = 1, #KEYS do redis.call('SET', KEYS[i], ARGV[i + 1], 'PX', ARGV[1]) end
""")

SUMMARY = Script("""
local out = {}
for i = 1, #KEYS do
  local r = redis.pcall('HMGET', KEYS[i], 'n', 'x')
  if r.err then r = {false, false} end
  out[i] = r
end
return out
""")

# KEYS: entries, then the counts of hits of each. ARGV: the time, the milliseconds to keep counts of entries that
# never expire, then a number for each. Other counts live as long as their entry. Missing entries are not created.
HITS = Script("""
local n = #KEYS / 2
for i = 1, n do
  if redis.pcall('HEXISTS', KEYS[i], 'd') == 1 then
    local counts, left = KEYS[n + i], redis.call('PTTL', KEYS[i])
    if redis.call('TYPE', counts).ok ~= 'hash' then redis.call('UNLINK', counts) end
    redis.call('HINCRBY', counts, 'h', ARGV[i + 2])
    redis.call('HSET', counts, 'a', ARGV[1])
    redis.call('PEXPIRE', counts, left > 0 and left or ARGV[2])
  end
end
""")

# KEYS: a hash. ARGV: fields, each with what to add to it.
ADD = Script("for i = 1, #ARGV, 2 do redis.call('HINCRBYFLOAT', KEYS[1], ARGV[i], ARGV[i + 1]) end")
