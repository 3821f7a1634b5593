"""`Plain`: entries, and the log of their changes."""

from __future__ import annotations

from semantic_llm_cache.backends.redis.lua.entries import COUNTED
from semantic_llm_cache.backends.redis.lua.script import Script

__all__ = ["AT_ONCE", "DROP", "NEAR", "PUT", "VECTORS"]

_LOG_LENGTH = 10_000
AT_ONCE = 500
"""Announcements read by one command."""

_ANNOUNCE = """
local function announce(log, stream, epoch, keys)
  local number = redis.call('HINCRBY', log, 'n', 1)
  redis.call('HSETNX', log, 'e', epoch)
  local function add()
    return redis.pcall('XADD', stream, 'MAXLEN', '~', LOG_LENGTH, string.format('%.0f-1', number), 'k', keys)
  end
  local done = add()
  if type(done) == 'table' and done.err then
    redis.call('DEL', stream)
    redis.call('HSET', log, 'e', epoch)
    add()
  end
  return {redis.call('HGET', log, 'e'), number}
end
""".replace("LOG_LENGTH", str(_LOG_LENGTH))

# KEYS: log, stream, entries, their counts of hits. ARGV: a new epoch, the keys as JSON, then for each entry d, v, x,
# milliseconds, p, s, n, h, a.
PUT = Script(
    _ANNOUNCE
    + """
local at, tell, n = 3, false, #KEYS / 2 - 1
for i = 3, n + 2 do
  local key, left = KEYS[i], tonumber(ARGV[at + 3])
  local old = redis.pcall('HGET', key, 'p')
  if type(old) == 'table' then
    redis.call('UNLINK', key)
    old = false
  end
  redis.call('HSET', key, 'd', ARGV[at], 'x', ARGV[at + 2], 'p', ARGV[at + 4], 's', ARGV[at + 5],
             'n', ARGV[at + 6], 'h', ARGV[at + 7], 'a', ARGV[at + 8])
  if ARGV[at + 1] ~= '' then redis.call('HSET', key, 'v', ARGV[at + 1]) else redis.call('HDEL', key, 'v') end
  if left > 0 then redis.call('PEXPIRE', key, left) else redis.call('PERSIST', key) end
  redis.call('UNLINK', KEYS[n + i])
  if ARGV[at + 4] ~= '' or (old and old ~= '') then tell = true end
  at = at + 9
end
if tell then return announce(KEYS[1], KEYS[2], ARGV[1], ARGV[2]) end
return false
"""
)

# KEYS: log, stream, entries, their counts of hits. ARGV: a new epoch, the keys as JSON.
DROP = Script(
    _ANNOUNCE
    + """
local out, tell, n = {}, false, #KEYS / 2 - 1
for i = 3, n + 2 do
  local was = redis.pcall('HMGET', KEYS[i], 'p', 'x')
  out[i - 2] = false
  if not was.err and was[2] then
    out[i - 2] = was[2]
    if was[1] and was[1] ~= '' then tell = true end
  end
  redis.call('UNLINK', KEYS[i], KEYS[n + i])
end
if tell then return {out, announce(KEYS[1], KEYS[2], ARGV[1], ARGV[2])} end
return {out, false}
"""
)

# KEYS: log, stream, entries, their counts of hits. ARGV: epoch and number of the last change known.
NEAR = Script(
    COUNTED
    + """
local log = redis.pcall('HMGET', KEYS[1], 'e', 'n')
if log.err then log = {'', '0'} end
local epoch, top, news = log[1] or '', tonumber(log[2] or '0'), {}
if (epoch == ARGV[1] or (ARGV[1] == '' and ARGV[2] == '0')) and top > tonumber(ARGV[2]) then
  news = redis.pcall('XRANGE', KEYS[2], string.format('%.0f-1', ARGV[2] + 1), '+', 'COUNT', AT_ONCE)
  if news.err then news = {} end
end
local rows, n = {}, #KEYS / 2 - 1
for i = 1, n do rows[i] = counted(KEYS[i + 2], KEYS[i + 2 + n]) end
return {epoch, top, news, rows}
""".replace("AT_ONCE", str(AT_ONCE))
)

# KEYS: entries.
VECTORS = Script("""
local out = {}
for i = 1, #KEYS do
  local r = redis.pcall('HMGET', KEYS[i], 'p', 'n', 'v', 'x')
  if r.err then r = false end
  out[i] = r
end
return out
""")
