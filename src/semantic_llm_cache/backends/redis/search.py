"""Near entries by the search module (`FT.*`): one index per dimension over all entries, HNSW with tags.

The index follows the keys: what expires, is evicted or deleted leaves it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from semantic_llm_cache.backends.redis.clients import Link, together
from semantic_llm_cache.backends.redis.entries import Names, Row
from semantic_llm_cache.backends.redis.errors import said_by
from semantic_llm_cache.backends.redis.lua import search as lua
from semantic_llm_cache.backends.redis.strategy import Guard, Limits, Way, logger
from semantic_llm_cache.exceptions import CacheBackendError
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.similarity.base import Vector
from semantic_llm_cache.storage.records import Candidate

__all__ = ["SearchModule"]

_EF = 100
"""Nodes of the graph that a search keeps in view. The module's default, 10, finds 94 to 97 % of the nearest."""
_COUNT_EVERY = 60.0
_MOST_PLACES = 4096
_PRECISION = 1e-4
_MOST = 1 << 16

_Document = tuple[bytes, dict[bytes, bytes]]


class SearchModule(Way):
    """One HNSW index per dimension; scope, embedder and namespace are tags."""

    name: ClassVar[str] = "search"
    letter: ClassVar[str] = "s"
    cluster_shards: ClassVar[int] = 256
    write_chunk: ClassVar[int] = 25

    def __init__(self, link: Link, names: Names) -> None:
        super().__init__(link, names)
        self._made: set[int] = set()
        self._advise = True
        self._counts: dict[str, tuple[int, int, float]] = {}  # by place: its entries, all entries, when counted

    # ------------------------------------------------------------------------------ by key

    async def put(self, shard: int, rows: Sequence[Row], guard: Guard | None = None) -> None:
        """Write entries and their vectors."""
        arguments: list[Any] = []
        for row in rows:
            arguments += [row.data, row.vector, row.expires, row.milliseconds, row.place, row.scope, row.namespace,
                          row.hits, row.accessed]  # fmt: skip
        await self.put_script(lua.PUT, self.with_counts([row.key for row in rows]), arguments, guard)

    async def drop(self, shard: int, keys: Sequence[bytes]) -> list[bytes | None]:
        """Remove entries; return what each held."""
        found: list[bytes | None] = await self.link.script(lua.DROP, self.with_counts(keys), ())
        return found

    # ------------------------------------------------------------------------------ indexes

    async def prepare(self, rows: Iterable[Row]) -> None:
        """Make the indexes that these rows need."""
        for dimension in {len(row.vector) // 4 for row in rows if row.vector} - self._made:
            await self._make(dimension)

    def _index(self, dimension: int) -> bytes:
        return self.names.base + b"%d" % dimension

    async def _make(self, dimension: int) -> None:
        words = [
            "FT.CREATE", self._index(dimension), "ON", "HASH", "PREFIX", 1, self.names.all_entries,
            "SCHEMA", "p", "TAG", "s", "TAG", "n", "TAG",
            "v", "VECTOR", "HNSW", 12, "TYPE", "FLOAT32", "DIM", dimension, "DISTANCE_METRIC", "COSINE",
            "M", 16, "EF_CONSTRUCTION", 100, "EF_RUNTIME", _EF,
        ]  # fmt: skip
        for node in await self.link.primaries():
            try:
                await node(*words)
            except CacheBackendError as error:
                if "already exists" not in said_by(error):
                    raise
        self._made.add(dimension)

    # --------------------------------------------------------------------------- by vector

    async def near(self, query: Vector, k: int, threshold: float, limits: Limits, now: float) -> list[Candidate]:
        """Return the nearest live entries."""
        raw = query.astype("<f4", copy=False).tobytes()
        dimension = query.shape[0]
        nodes = await self.link.primaries()
        conditions = []
        place = limits.place(dimension)
        if place is not None:
            conditions.append(f"@p:{{{place}}}")
        elif limits.scope is not None:
            conditions.append(f"@s:{{{limits.scope_digest}}}")
        if limits.namespace is not None:
            conditions.append(f"@n:{{{limits.namespace_digest}}}")
        where = f"({' '.join(conditions)})" if conditions else "*"
        policy = "" if place is None or not self._advise else self._policy(place, dimension)
        wanted = k
        while True:
            words = [
                "FT.SEARCH", self._index(dimension),
                f"{where}=>[KNN {wanted} @v $q{policy} EF_RUNTIME {max(_EF, wanted)} AS c]",
                "PARAMS", 2, "q", raw, "RETURN", 5, "d", "v", "h", "a", "c",
                "LIMIT", 0, wanted, "DIALECT", 2,
            ]  # fmt: skip
            try:
                replies = await together([node(*words) for node in nodes])
            except CacheBackendError as error:
                if policy and "yntax" in said_by(error):  # a search module of another vendor
                    policy, self._advise = "", False
                    continue
                if "no such index" not in said_by(error).lower() and "not found" not in said_by(error).lower():
                    raise
                # Nothing was ever stored, or the server was emptied. From now on, what it holds is indexed.
                await self._make(dimension)
                return []
            rows: dict[bytes, Any] = {}
            again = False
            for reply in replies:
                total, documents = _documents(reply)
                found, far = self._rows(documents, threshold)
                rows.update(found)
                again = again or (max(total, len(documents)) >= wanted and not far)
            candidates = self.ranked(rows.items(), query, threshold, limits, now)
            if len(candidates) >= k or not again or wanted >= _MOST:
                return candidates
            wanted *= 4  # expired entries were counted, live ones farther away were cut off

    def _rows(self, documents: list[_Document], threshold: float) -> tuple[dict[bytes, Any], bool]:
        """Return fields ``d v h a`` by key, and whether the farthest lies beyond the threshold."""
        rows: dict[bytes, Any] = {}
        farthest = 0.0
        for name, fields in documents:
            key = self.names.key(name)
            if key is None:
                continue
            if fields.get(b"d") is None:
                continue
            rows[key] = [fields.get(b"d"), fields.get(b"v"), fields.get(b"h"), fields.get(b"a")]
            distance = float(fields.get(b"c", b"nan"))
            if not math.isnan(distance):
                farthest = max(farthest, distance)
        return rows, threshold > 0 and farthest > 1.0 - threshold + _PRECISION

    def _policy(self, place: str, dimension: int) -> str:
        """Return the words that choose how the module searches in a place, or none.

        It can compare the query with each entry of the place, or walk the graph of all entries until
        enough are of the place. By itself it does the first up to some 20,000 entries in all, even where
        the second takes a quarter of the time. With n entries of N in the place, measured (384
        dimensions, N of 10,000 and 40,000, n / N from .001 to 1), in microseconds: 100 + .3 n and 650 + 8 N / n.
        """
        known = self._counts.get(place)
        now = time.monotonic()
        if known is None or now > known[2]:
            if len(self._counts) >= _MOST_PLACES:
                self._counts.clear()
            here, total = known[:2] if known is not None else (0, 0)
            self._counts[place] = (here, total, now + _COUNT_EVERY)
            self.link.background(lambda: self._count(place, dimension))
            known = self._counts[place]
        here, total, _ = known
        return " HYBRID_POLICY BATCHES" if here and 650 + 8 * total / here < 100 + 0.3 * here else ""

    async def _count(self, place: str, dimension: int) -> None:
        here = total = 0
        try:
            for node in await self.link.primaries():
                words = ["FT.SEARCH", self._index(dimension), f"@p:{{{place}}}", "LIMIT", 0, 0, "DIALECT", 2]
                here += _documents(await node(*words))[0]
                info = await node("FT.INFO", self._index(dimension))
                total += _number(info, "num_docs")
        except Exception as error:
            logger.debug("semantic-llm-cache: entries could not be counted: %s", describe(error))
            return
        # Counting walks over the place's entries: some 20 ms for a million, so now and then.
        self._counts[place] = (here, total, time.monotonic() + max(_COUNT_EVERY, here / 1000))

    async def stats(self) -> dict[str, Any]:
        """Return figures about the indexes."""
        return {"indexes": sorted(self._made)}


def _documents(reply: Any) -> tuple[int, list[_Document]]:
    """Return how many were found, and names and fields, from a reply of `FT.SEARCH` of either protocol."""
    if isinstance(reply, dict):  # RESP3
        plain = {_text(name): value for name, value in reply.items()}
        documents = []
        for one in plain.get("results", ()):
            parts = {_text(name): value for name, value in one.items()}
            documents.append((parts["id"], parts.get("extra_attributes") or {}))
        return int(plain.get("total_results", 0)), documents
    # The fields of a document that has just expired are missing.
    return int(reply[0]), [
        (reply[i], dict(zip(reply[i + 1][::2], reply[i + 1][1::2], strict=True)) if reply[i + 1] else {})
        for i in range(1, len(reply) - 1, 2)
    ]


def _number(info: Any, name: str) -> int:
    pairs = info.items() if isinstance(info, dict) else zip(info[::2], info[1::2], strict=False)
    return next((int(float(value)) for key, value in pairs if _text(key) == name), 0)


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
