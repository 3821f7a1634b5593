"""What the three ways to search by vector on a Redis server have in common."""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from semantic_llm_cache.backends.damage import DamageLog
from semantic_llm_cache.backends.redis.clients import Link, together
from semantic_llm_cache.backends.redis.entries import Damage, Names, Row, decode, digest, place_of, read_vector, to_text
from semantic_llm_cache.backends.redis.errors import said_by
from semantic_llm_cache.backends.redis.lua.entries import HITS, KEEP, READ, RECALL, SUMMARY
from semantic_llm_cache.backends.redis.lua.script import Script
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.exceptions import CacheBackendError
from semantic_llm_cache.similarity.base import THRESHOLD_TOLERANCE, Vector, unit
from semantic_llm_cache.storage.records import Candidate, Text

__all__ = ["READ_CHUNK", "Guard", "LeaseLost", "Limits", "Way", "is_live"]

logger = logging.getLogger("semantic_llm_cache")

READ_CHUNK = 100
"""Entries read by one command."""
_HIT_CHUNK = 200
_COUNTS_MS = 90 * 86_400_000
"""How long counts of hits are kept where nothing else removes them, so that no key stays forever."""


class Limits(NamedTuple):
    """Where to look; None does not limit."""

    namespace: str | None = None
    scope: str | None = None
    embedder: str | None = None

    def allow(self, entry: CacheEntry) -> bool:
        """Return whether an entry is within them."""
        return (
            self.namespace in (None, entry.namespace)
            and self.scope in (None, entry.scope)
            and self.embedder in (None, entry.embedder)
        )

    def place(self, dimension: int) -> str | None:
        """Return the one place to look in, None when there may be several."""
        if self.scope is None or self.embedder is None:
            return None
        return place_of(self.scope, self.embedder, dimension)

    @property
    def scope_digest(self) -> str:
        """Digest of the scope, empty without one."""
        return "" if self.scope is None else digest(self.scope)

    @property
    def namespace_digest(self) -> str:
        """Digest of the namespace, empty without one."""
        return "" if self.namespace is None else digest(self.namespace)


class LeaseLost(Exception):
    """A put under a lease came too late: another lease was given since."""


class Guard(Protocol):
    """Lets a script run only under a condition."""

    async def script(self, link: Link, script: Script, keys: list[bytes], arguments: list[Any]) -> Any:
        """Return what the script returns. Raises LeaseLost, with nothing done."""


class Way(ABC):
    """Reads and writes entries on a server, and finds near ones.

    Every method takes one round trip to each node concerned, for as many entries as fit into one command.
    """

    name: ClassVar[str]
    letter: ClassVar[str]
    cluster_shards: ClassVar[int]
    """Over how many slots of a cluster the keys are spread by default."""
    write_chunk: ClassVar[int]
    """Entries written by one script: a script blocks the server, so it must be short."""

    def __init__(self, link: Link, names: Names) -> None:
        self.link = link
        self.names = names
        self.damage = DamageLog(link.url)

    # ------------------------------------------------------------------------------ reading

    async def get(self, key: bytes, now: float) -> CacheEntry | None:
        """Return the live entry under a key, with its hits as they were when it was stored.

        One command for one key: a script that adds the counts takes four times as long on the server.
        """
        fields: Any
        try:
            fields = await self.link.execute("HMGET", self.names.entry(key), "d", "v", "h", "a")
        except CacheBackendError as error:
            if "WRONGTYPE" not in said_by(error):
                raise
            fields = "damaged"
        entry = self.entry(key, fields, now)
        self.damage.tell()
        return entry

    async def recall(self, key: bytes, text: Text, now: float) -> tuple[CacheEntry | None, Vector | None]:
        """Return the live entry under a key, else the vector of a text.

        By one script, but on a cluster, where the two may be on different nodes: there by two commands at once.
        """
        place = self.names.text(digest(text.namespace), text.digest)
        if self.link.cluster:
            entry, kept = await together([self.get(key, now), self.link.execute("GET", place)])
            return (entry, None) if entry is not None else (None, _kept(kept))
        try:
            found: Any = await self.link.script(RECALL, [self.names.entry(key), place], ())
        except CacheBackendError as error:
            if "WRONGTYPE" not in said_by(error):
                raise
            return await self.get(key, now), None
        if type(found) is not list:
            return None, _kept(found)
        entry = self.entry(key, found, now)
        self.damage.tell()
        return entry, None

    async def keep_vectors(self, vectors: Mapping[Text, Any], milliseconds: int) -> None:
        """Keep the vectors of texts for a time."""
        by_digest = {text.digest: (text, vector) for text, vector in vectors.items()}
        await together(
            [
                self.link.script(
                    KEEP,
                    [self.names.text(digest(by_digest[key][0].namespace), key) for key in keys],
                    [milliseconds, *(unit(by_digest[key][1]).astype("<f4", copy=False).tobytes() for key in keys)],
                )
                for _, keys in self.chunks(list(by_digest), READ_CHUNK)
            ]
        )

    def with_counts(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return where entries are, then where the counts of their hits are."""
        return [self.names.entry(k) for k in keys] + [self.names.hits(self.names.shard(k)) + k for k in keys]

    async def get_many(self, keys: Sequence[bytes], now: float) -> list[CacheEntry | None]:
        """Return the live entries under keys, in order."""
        chunks = self.chunks(list(dict.fromkeys(keys)), READ_CHUNK)
        found: dict[bytes, Any] = {}
        for some in await together([self._read(shard, some) for shard, some in chunks]):
            found.update(some)
        entries = [self.entry(key, found[key], now) for key in keys]
        self.damage.tell()
        return entries

    async def summaries(self, keys: Sequence[bytes]) -> list[tuple[bytes, bytes | None, bytes | None]]:
        """Return for each key: itself, the digest of the entry's namespace, and its time of expiry."""
        found: list[tuple[bytes, bytes | None, bytes | None]] = []
        for _, some in self.chunks(keys, 4 * READ_CHUNK):
            rows = await self.link.script(SUMMARY, [self.names.entry(key) for key in some], ())
            found += [(key, row[0], row[1]) for key, row in zip(some, rows, strict=True)]
        return found

    async def _read(self, shard: int, keys: list[bytes]) -> list[tuple[bytes, Any]]:
        return list(zip(keys, await self.link.script(READ, self.with_counts(keys), ()), strict=True))

    def entry(self, key: bytes, fields: Any, now: float) -> CacheEntry | None:
        """Return the live entry in fields ``d v h a``; None when there is none, or it is damaged."""
        try:
            if type(fields) is not list:
                raise Damage("another program has put a value of another type there")
            if fields[0] is None:
                if fields[1] is not None or fields[2] is not None or fields[3] is not None:
                    raise Damage("parts of it are missing")
                return None
            found = decode(*fields[:4])
        except Damage as damage:
            self.damage.note(key, to_text(key), str(damage))
            return None
        return None if found is None or found.is_expired(now) else found

    def ranked(
        self, rows: Iterable[tuple[bytes, Any]], query: Vector, threshold: float, limits: Limits, now: float
    ) -> list[Candidate]:
        """Return the live entries within the limits and the threshold, nearest first.

        Servers shorten vectors, or compute in single precision, so similarities are computed again here.
        """
        found: dict[bytes, Candidate] = {}
        wide = query.astype(np.float64)
        length = math.sqrt(float(wide @ wide))
        for key, fields in rows:
            entry = self.entry(key, fields, now)
            if entry is None or entry.embedding is None or not limits.allow(entry):
                continue
            if entry.embedding.shape != query.shape:
                continue
            other = entry.embedding.astype(np.float64)
            cosine = float(wide @ other) / (length * math.sqrt(float(other @ other)))
            similarity = max(0.0, min(1.0, cosine))
            if similarity >= threshold - THRESHOLD_TOLERANCE:
                found[key] = Candidate(to_text(key), entry, similarity)
        self.damage.tell()
        return sorted(found.values(), key=_farness)

    # ------------------------------------------------------------------------------ writing

    async def write(self, rows: Sequence[Row]) -> None:
        """Store entries with their vectors, each as a whole."""
        over = [row.key for row in rows if row.milliseconds < 0]
        live = {row.key: row for row in rows if row.milliseconds >= 0}
        await self.prepare(live.values())
        await together([self.put(shard, [live[key] for key in keys])
                        for shard, keys in self.chunks(list(live), self.write_chunk)])  # fmt: skip
        if over:
            await self.remove([key for key in over if key not in live], 0.0)

    async def remove(self, keys: Sequence[bytes], now: float) -> int:
        """Remove entries; return how many were live at `now`."""
        chunks = self.chunks(list(dict.fromkeys(keys)), READ_CHUNK)
        replies = await together([self.drop(shard, some) for shard, some in chunks])
        return sum(1 for reply in replies for expires in reply if is_live(expires, now))

    async def record_hits(self, hits: Mapping[bytes, int], now: float) -> None:
        """Add to the hit counts of entries."""
        await together(
            [
                self.link.script(HITS, self.with_counts(keys), [repr(now), _COUNTS_MS, *[hits[k] for k in keys]])
                for _, keys in self.chunks(list(hits), _HIT_CHUNK)
            ]
        )

    def chunks(self, keys: Sequence[bytes], size: int) -> list[tuple[int, list[bytes]]]:
        """Return keys by shard, `size` at most together."""
        by_shard: dict[int, list[bytes]] = {}
        for key in keys:
            by_shard.setdefault(self.names.shard(key), []).append(key)
        return [
            (shard, some[start : start + size])
            for shard, some in by_shard.items()
            for start in range(0, len(some), size)
        ]

    # --------------------------------------------------------------------- each in its way

    async def prepare(self, rows: Iterable[Row]) -> None:
        """Make what the rows need to be found."""

    @abstractmethod
    async def put(self, shard: int, rows: Sequence[Row], guard: Guard | None = None) -> None:
        """Store rows of one shard by one script, with a `guard` only under its condition. Raises LeaseLost."""

    @abstractmethod
    async def drop(self, shard: int, keys: Sequence[bytes]) -> list[bytes | None]:
        """Remove keys of one shard by one script; return the time of expiry of each, None where none was."""

    @abstractmethod
    async def near(self, query: Vector, k: int, threshold: float, limits: Limits, now: float) -> list[Candidate]:
        """Return live entries, nearest first; at least the `k` nearest of those there are."""

    async def put_script(self, script: Script, keys: list[bytes], arguments: list[Any], guard: Guard | None) -> Any:
        """Run the script of a put."""
        if guard is None:
            return await self.link.script(script, keys, arguments)
        return await guard.script(self.link, script, keys, arguments)

    async def stats(self) -> dict[str, Any]:
        """Return figures about this way."""
        return {}

    def rest(self) -> None:
        """Begin nothing more in the background before the next use."""


def _kept(blob: Any) -> Vector | None:
    """Return the vector that a server has kept; None for none, or for something else."""
    return read_vector(blob) if isinstance(blob, bytes) and blob and not len(blob) % 4 else None


def is_live(expires: bytes | None, now: float) -> bool:
    """Return whether a stored time of expiry is in the future; None is no entry."""
    if expires is None:
        return False
    try:
        return not expires or now * 1000.0 < int(expires)
    except ValueError:
        return True


def _farness(candidate: Candidate) -> float:
    return -candidate.similarity
