"""Vectors of texts that the PostgreSQL backend keeps apart from entries: see `StorageBackend.recall`.

The table is made by the first process that has a vector to keep. Without it, or without the right to make it, exact
lookups go on as ever, so it is no part of the layout that a database must have.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import numpy as np

from semantic_llm_cache.backends.postgres.errors import missing
from semantic_llm_cache.backends.postgres.link import Link
from semantic_llm_cache.backends.postgres.rows import digest, escape
from semantic_llm_cache.backends.postgres.schema import LOCK
from semantic_llm_cache.exceptions import CacheBackendError
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.similarity.base import Vector, unit
from semantic_llm_cache.storage.records import Text

__all__ = ["TextVectors", "read"]

logger = logging.getLogger("semantic_llm_cache")

_MOST = 10_000
_STEP = 500
_LOOK_SECONDS = 60.0
_SWEEP_SECONDS = 60.0


class TextVectors:
    """The table of vectors of one backend.

    Args:
        link: sends the statements.
        beside: runs something beside the call under way.
    """

    def __init__(self, link: Link, beside: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._link = link
        self._beside = beside
        self._there = False
        self._refused = False
        self._look_at = self._sweep_at = 0.0

    async def row(self, key: str, text: Text, now: float) -> Any | None:
        """Return the columns of the entry under a key, live or not, followed by the vector of a text.

        None if vectors cannot be asked for: there may be no table.
        """
        if not self._there:
            if time.monotonic() >= self._look_at:
                self._look_at = time.monotonic() + _LOOK_SECONDS
                self._beside(self._look())
            return None
        try:
            rows = await self._link.fetch(lambda schema: schema.recall, digest(key), now, text.digest)
        except CacheBackendError as error:
            if error.__cause__ is None or not missing(error.__cause__):
                raise
            self._there = False
            return None
        return rows[0]

    async def keep(self, vectors: Sequence[tuple[Text, Any]], until: float, now: float) -> None:
        """Keep vectors until a time. Does nothing where the table cannot be made."""
        if not self._there and not await self._make():
            return
        rows = [
            (text.digest, escape(text.namespace), until, unit(vector).astype("<f4", copy=False).tobytes())
            for text, vector in vectors
        ]
        rows.sort(key=lambda row: row[0])  # so that two writers lock the same rows in the same order
        for start in range(0, len(rows), _STEP):
            await self._link.write(lambda schema: schema.keep_vector, rows[start : start + _STEP])
        if time.monotonic() >= self._sweep_at:
            self._sweep_at = time.monotonic() + _SWEEP_SECONDS
            await self._link.fetch(lambda schema: schema.sweep_vectors, now, _MOST)

    async def clear(self, namespace: str | None) -> None:
        """Remove all vectors, or those of one namespace."""
        await self._look()
        if self._there:
            await self._link.fetch(
                lambda schema: schema.clear_vectors, None if namespace is None else escape(namespace)
            )

    async def _look(self) -> None:
        try:
            rows = await self._link.fetch(lambda schema: schema.vectors_there, self._link.names.vectors)
            self._there = bool(rows[0][0])
        except CacheBackendError:
            self._there = False

    async def _make(self) -> bool:
        if self._refused:
            return False

        async def run(connection: Any, schema: Any) -> None:
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
                await connection.execute(schema.make_vectors)

        try:
            await self._link.run(run)
            self._there = True
        except CacheBackendError as error:
            self._refused = True
            logger.debug("semantic-llm-cache: vectors of texts are not shared: %s", describe(error))
        return self._there


def read(blob: Any) -> Vector | None:
    """Return the vector in a blob of little-endian float32; None for anything else."""
    if not isinstance(blob, bytes) or not blob or len(blob) % 4:
        return None
    return np.frombuffer(blob, dtype="<f4").astype(np.float32)
