"""Leases: taken, renewed, looked at and given back."""

from __future__ import annotations

from semantic_llm_cache.backends.redis.lua.script import Script

__all__ = ["ACQUIRE", "GIVE_BACK", "LOOK", "RELEASE", "RENEW"]

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

# KEYS: lease, entry. ARGV: token, milliseconds to run, milliseconds to keep.
# Anything else under the lease's key is removed.
ACQUIRE = Script(
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
RENEW = Script(
    _NOW
    + """
if redis.pcall('HGET', KEYS[1], 't') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'u', string.format('%.0f', now + ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""
)

# KEYS: lease. ARGV: 1 to mark that a process waits. Returns the milliseconds it still runs.
LOOK = Script(
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

GIVE_BACK = """
local function give_back(lease, channel, name)
  local waited = redis.pcall('HEXISTS', lease, 'w')
  redis.call('UNLINK', lease)
  if waited == 1 then redis.pcall('PUBLISH', channel, name) end
end
"""

# KEYS: lease. ARGV: token, channel, the lease's name.
RELEASE = Script(
    GIVE_BACK
    + """
if redis.pcall('HGET', KEYS[1], 't') == ARGV[1] then give_back(KEYS[1], ARGV[2], ARGV[3]) end
"""
)
