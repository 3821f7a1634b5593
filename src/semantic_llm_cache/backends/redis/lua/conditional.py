"""Scripts around a script that stores: it is run only where a condition holds."""

from __future__ import annotations

from functools import lru_cache

from semantic_llm_cache.backends.redis.lua.lease import GIVE_BACK
from semantic_llm_cache.backends.redis.lua.script import Script

__all__ = ["leased", "unchanged"]


def _around(check: str, script: Script, arguments: int, after: str = "") -> Script:
    """Return `script`, run only where `check` lets it.

    Args:
        check: Lua that returns ``{0}`` where the script must not run.
        script: the script that stores.
        arguments: how many arguments at the end belong to the check. So does the last key.
        after: Lua to run after the script, unless that failed.
    """
    return Script(
        f"""{check}
local keys, arguments = {{}}, {{}}
for i = 1, #KEYS - 1 do keys[i] = KEYS[i] end
for i = 1, #ARGV - {arguments} do arguments[i] = ARGV[i] end
local function put(KEYS, ARGV)
{script.text}
end
local result = put(keys, arguments)
if type(result) == 'table' and result.err then return result end
{after}return {{1, result}}
"""
    )


@lru_cache(maxsize=16)
def leased(script: Script) -> Script:
    """Return `script`, run only while a lease is held, which it then gives back.

    The lease's key follows the script's own keys; what follows its arguments is as for `lease.RELEASE`.
    """
    check = """
local lease, token, channel, name = KEYS[#KEYS], ARGV[#ARGV - 2], ARGV[#ARGV - 1], ARGV[#ARGV]
if redis.pcall('HGET', lease, 't') ~= token then return {0} end"""
    return _around(GIVE_BACK + check, script, 3, after="give_back(lease, channel, name)\n")


@lru_cache(maxsize=16)
def unchanged(script: Script) -> Script:
    """Return `script`, run only where an entry still holds the bytes of a given SHA-1.

    The entry's key follows the script's own keys, and the SHA-1 its arguments.
    """
    check = """
local held = redis.pcall('HGET', KEYS[#KEYS], 'd')
if type(held) ~= 'string' or redis.sha1hex(held) ~= ARGV[#ARGV] then return {0} end"""
    return _around(check, script, 1)
