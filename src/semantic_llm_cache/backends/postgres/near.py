"""Near lookups: by comparing all vectors of a place while they are few, else through pgvector's graph.

A place is what a lookup is limited to. Which method suits a place is learned from the lookups. Comparing stops at
`exact_limit` vectors and reports that. The graph gives fewer entries than were asked for where few of the vectors on
its way are within the limits: its walk ends after some 20,000. Then the other method is used, at the cost of one
more round trip, at most once in five minutes for each place. All other lookups take one round trip.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from semantic_llm_cache.backends.postgres.link import Link
from semantic_llm_cache.backends.postgres.rows import escape, unescape
from semantic_llm_cache.backends.postgres.schema import GRAPH_DIMENSIONS, Schema
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.exceptions import PromptCacheError
from semantic_llm_cache.similarity.base import THRESHOLD_TOLERANCE, Vector
from semantic_llm_cache.storage.records import Candidate

__all__ = ["Near", "Place"]

logger = logging.getLogger("semantic_llm_cache")

_REMEMBERED = 4096
_REMEMBER_SECONDS = 300.0
_GRAPH_PAUSE = 10.0
_LONG = 60.0


class Place(NamedTuple):
    """Where to look; None does not limit."""

    scope: str | None
    embedder: str | None
    namespace: str | None
    dimension: int


class Near:
    """Finds entries by vector.

    Args:
        link: to the server.
        exact_limit: places with more vectors than this are searched through the graph.
        read: turns a row into an entry, None for one that is damaged.
        background: runs a coroutine in the background.
    """

    def __init__(
        self,
        link: Link,
        exact_limit: int,
        read: Callable[[Any], CacheEntry | None],
        background: Callable[[Any], None],
    ) -> None:
        self.link = link
        self.exact_limit = exact_limit
        self._read = read
        self._background = background
        self._by_graph: OrderedDict[Place, tuple[bool, float]] = OrderedDict()
        self._building: dict[int, float] = {}

    async def find(self, query: Vector, k: int, threshold: float, place: Place, now: float) -> list[Candidate]:
        """Return the live entries at or above the threshold, nearest first."""
        dimension = place.dimension
        by_graph = self._way_of(place) if dimension in self.link.graphs else None
        values: list[Any] = [
            query.tolist(),
            *(None if part is None else escape(part) for part in place[:3]),
            now,
            k,
            # float32 sums differ in the last digits; so similarities are computed again here.
            2.0 if threshold <= 0 else 1e-5 - threshold,
        ]
        if by_graph:
            rows = await self.link.fetch(lambda schema: schema.near(dimension), *values)
            if len(rows) >= k:
                return self._ranked(rows, query, threshold)
            self._remember(place, False)
            by_graph = False
        # Known to be few within the limits, or without a graph: all are compared.
        most = self.exact_limit + 1 if by_graph is None and dimension in self.link.graphs else None
        rows = await self.link.fetch(_exact, *values, most, timeout=None if most else _LONG)
        if rows and rows[0][0] > self.exact_limit:
            if most is not None:
                self._remember(place, True)
                return await self.find(query, k, threshold, place, now)
            if dimension not in self.link.graphs and dimension <= GRAPH_DIMENSIONS:
                self.want_graph(dimension)
        return self._ranked(rows, query, threshold)

    # ------------------------------------------------------------------------------ which way

    def _way_of(self, place: Place) -> bool | None:
        """Return whether a place is to be searched through the graph, None when that is not known."""
        known = self._by_graph.get(place)
        return None if known is None or time.monotonic() > known[1] else known[0]

    def _remember(self, place: Place, by_graph: bool) -> None:
        self._by_graph[place] = (by_graph, time.monotonic() + _REMEMBER_SECONDS)
        self._by_graph.move_to_end(place)
        while len(self._by_graph) > _REMEMBERED:
            self._by_graph.popitem(last=False)

    def want_graph(self, dimension: int) -> None:
        """Have the graph of a dimension made, or found, beside."""
        now = time.monotonic()
        if now < self._building.get(dimension, 0.0):
            return
        self._building[dimension] = math.inf
        self._background(self._make_graph(dimension))

    async def _make_graph(self, dimension: int) -> None:
        try:
            await self.link.look_for_graphs()
            if dimension not in self.link.graphs and await self.link.make_graph(dimension):
                logger.info("semantic-llm-cache: %s: vectors of %d dimensions have an index", self.link.url, dimension)
        except asyncio.CancelledError:
            raise
        except PromptCacheError as error:
            logger.warning(
                "semantic-llm-cache: %s: no index could be made for vectors of %d dimensions, so near lookups compare "
                "them all (%s)",
                self.link.url, dimension, error,
            )  # fmt: skip
        finally:
            self._building[dimension] = time.monotonic() + _GRAPH_PAUSE

    # -------------------------------------------------------------------------------- ranking

    def _ranked(self, rows: Iterable[Any], query: Vector, threshold: float) -> list[Candidate]:
        found: list[Candidate] = []
        wide = query.astype(np.float64)
        length = math.sqrt(float(wide @ wide))
        for row in rows:
            entry = None if row[1] is None else self._read(row)
            if entry is None or entry.embedding is None:
                continue
            other = entry.embedding.astype(np.float64)
            cosine = float(wide @ other) / (length * math.sqrt(float(other @ other)))
            similarity = max(0.0, min(1.0, cosine))
            if similarity >= threshold - THRESHOLD_TOLERANCE:
                found.append(Candidate(unescape(row[1]), entry, similarity))
        found.sort(key=_farness)
        return found


def _exact(schema: Schema) -> str:
    return schema.near_exact


def _farness(candidate: Candidate) -> float:
    return -candidate.similarity
