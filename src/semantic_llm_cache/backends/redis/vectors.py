"""Giving entries on a Redis server other vectors, if they have not changed since they were read.

An entry's bytes (field ``d``) hold its embedder and a checksum over its vector, so they are written again. The script
that stores runs only if the bytes that it replaces are those that were read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from semantic_llm_cache.backends.redis.clients import Link, together
from semantic_llm_cache.backends.redis.entries import Row, to_bytes
from semantic_llm_cache.backends.redis.lua.conditional import unchanged
from semantic_llm_cache.backends.redis.lua.script import Script
from semantic_llm_cache.backends.redis.strategy import READ_CHUNK, Way
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.similarity.base import Vector

__all__ = ["set_vectors"]


class _Changed(Exception):
    """The entry has changed."""


class _Guard:
    """Lets a put run only if an entry has not changed; see `Way.put`."""

    def __init__(self, name: bytes, data: bytes) -> None:
        self._name = name
        self._sha = hashlib.sha1(data, usedforsecurity=False).hexdigest()

    async def script(self, link: Link, script: Script, keys: list[bytes], arguments: list[Any]) -> Any:
        reply = await link.script(unchanged(script), [*keys, self._name], [*arguments, self._sha])
        if not reply[0]:
            raise _Changed
        return reply[1] if len(reply) > 1 else None


async def set_vectors(
    way: Way,
    items: Sequence[tuple[str, str, Vector]],
    embedder: str,
    now: float,
    encode: Callable[[str, CacheEntry], Row],
) -> list[bool]:
    """Give entries (key, prompt, vector) their vectors; return which were there with that prompt and another embedder.

    Two round trips: one that reads, one that writes.
    """
    keys = [to_bytes(key) for key, _, _ in items]
    stored: dict[bytes, Any] = {}
    for some in await together([way._read(*chunk) for chunk in way.chunks(list(dict.fromkeys(keys)), READ_CHUNK)]):
        stored.update(some)
    done = [False] * len(items)
    wanted: list[tuple[int, Row, bytes]] = []
    for place, (key, prompt, vector) in enumerate(items):
        fields = stored[keys[place]]
        entry = way.entry(keys[place], fields, now)
        if entry is None or entry.prompt != prompt or (entry.embedding is not None and entry.embedder == embedder):
            continue
        row = encode(key, replace(entry, embedding=vector, embedder=embedder))
        if row.milliseconds >= 0:
            wanted.append((place, row, fields[0]))
    await way.prepare([row for _, row, _ in wanted])

    async def put(place: int, row: Row, was: bytes) -> None:
        try:
            await way.put(way.names.shard(row.key), [row], _Guard(way.names.entry(row.key), was))
        except _Changed:
            return
        done[place] = True

    await together([put(*one) for one in wanted])
    return done
