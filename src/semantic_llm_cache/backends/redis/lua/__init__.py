"""The Lua scripts of `RedisBackend`, by what they serve."""
