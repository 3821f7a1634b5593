"""`SearchModule`: entries; the module itself keeps the index."""

from __future__ import annotations

from semantic_llm_cache.backends.redis.lua.script import Script

__all__ = ["DROP", "PUT"]

# KEYS: entries, then the counts of hits of each. ARGV: for each entry d, v, x, milliseconds, p, s, n, h, a.
PUT = Script("""
local at, n = 1, #KEYS / 2
for i = 1, n do
  local key, left = KEYS[i], tonumber(ARGV[at + 3])
  local old = redis.pcall('HEXISTS', key, 'v')
  if type(old) == 'table' then redis.call('UNLINK', key) end
  local fields = {'d', ARGV[at], 'x', ARGV[at + 2], 'p', ARGV[at + 4], 's', ARGV[at + 5], 'n', ARGV[at + 6],
                  'h', ARGV[at + 7], 'a', ARGV[at + 8]}
  if ARGV[at + 1] ~= '' then
    fields[#fields + 1] = 'v'
    fields[#fields + 1] = ARGV[at + 1]
  end
  redis.call('HSET', key, unpack(fields))
  if ARGV[at + 1] == '' and old == 1 then redis.call('HDEL', key, 'v') end
  if left > 0 then redis.call('PEXPIRE', key, left) else redis.call('PERSIST', key) end
  redis.call('UNLINK', KEYS[n + i])
  at = at + 9
end
""")

# KEYS: entries, then the counts of hits of each.
DROP = Script("""
local out, n = {}, #KEYS / 2
for i = 1, n do
  local x = redis.pcall('HGET', KEYS[i], 'x')
  if type(x) == 'table' then x = false end
  out[i] = x
  redis.call('UNLINK', KEYS[i], KEYS[n + i])
end
return out
""")
