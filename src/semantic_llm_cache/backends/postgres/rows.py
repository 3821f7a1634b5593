"""Entries to rows and back.

PostgreSQL's text holds neither the character U+0000 nor halves of surrogate pairs: see `values.odd_text`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from semantic_llm_cache.config import SCHEMA_VERSION, CacheEntry
from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.similarity.base import Vector, unit
from semantic_llm_cache.values import odd_text
from semantic_llm_cache.values.encoding import dumps, loads
from semantic_llm_cache.values.odd_text import unescape

__all__ = ["FIELDS", "Damage", "decode", "digest", "encode", "escape", "unescape"]

FIELDS = (
    "digest", "key", "prompt", "folded", "response", "vector", "dimension", "created_at", "ttl", "expires_at",
    "namespace", "hit_count", "input_tokens", "output_tokens", "last_accessed", "scope", "embedder", "kind", "tags",
    "aliases", "duration_ms", "cost_usd", "schema_version",
)  # fmt: skip
"""Columns, in the order of what `encode` returns."""


class Damage(Exception):
    """A row that cannot be read."""


def escape(text: str) -> str:
    """Return `text` as PostgreSQL can hold it."""
    return odd_text.escape(text, nul=True)


def digest(key: str) -> bytes:
    """Return the 16 bytes by which an entry is found: a key may be longer than an index takes."""
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def encode(key: str, entry: CacheEntry) -> tuple[Any, ...]:
    """Return the values of `FIELDS`.

    Raises:
        ValueError: a zero or non-finite vector.
        CacheSerializationError: something that has no stored form.
    """
    vector = None if entry.embedding is None else unit(entry.embedding)
    response = escape(dumps(entry.response))
    try:
        prompt = escape(entry.prompt)
        folded = escape(entry.prompt.casefold())
        return (
            digest(key),
            escape(key),
            prompt,
            None if folded == prompt else folded,
            response,
            None if vector is None else vector.tolist(),
            None if vector is None else len(vector),
            float(entry.created_at),
            entry.ttl,
            None if entry.ttl is None else float(entry.created_at + entry.ttl),
            escape(entry.namespace),
            entry.hit_count,
            entry.input_tokens,
            entry.output_tokens,
            entry.last_accessed,
            escape(entry.scope),
            escape(entry.embedder),
            escape(entry.kind),
            [escape(tag) for tag in entry.tags],
            [escape(alias) for alias in entry.aliases],
            entry.duration_ms,
            entry.cost_usd,
            entry.schema_version,
        )
    except (AttributeError, TypeError, OverflowError) as error:
        raise CacheSerializationError(
            f"the entry holds something that cannot be stored ({type(error).__name__})"
        ) from error


def columns(vector_send: str, *, counted: bool = True) -> str:
    """Return what `decode` takes: of the tables `e` (entries) and `h` (hits).

    With `counted` False it is of `e` alone: hits are as they were when the entry was stored.
    """
    hits = "e.hit_count + coalesce(h.hits, 0)" if counted else "e.hit_count"
    accessed = "coalesce(h.accessed, e.last_accessed)" if counted else "e.last_accessed"
    return (
        f"e.key, e.prompt, e.response, {vector_send}(e.vector), e.created_at, e.ttl, e.namespace, "
        f"{hits}, e.input_tokens, e.output_tokens, {accessed}, "
        "e.scope, e.embedder, e.kind, e.tags, e.aliases, e.duration_ms, e.cost_usd, e.schema_version"
    )


def decode(row: Sequence[Any]) -> CacheEntry | None:
    """Return the entry of a row of `columns`; None for one of another version. Raises Damage."""
    if row[18] != SCHEMA_VERSION:
        return None
    try:
        return CacheEntry(
            unescape(row[1]),
            loads(unescape(row[2])),
            None if row[3] is None else read_vector(row[3]),
            row[4],
            row[5],
            unescape(row[6]),
            row[7],
            row[8],
            row[9],
            row[10],
            unescape(row[11]),
            unescape(row[12]),
            unescape(row[13]),
            tuple(unescape(tag) for tag in row[14]),
            tuple(unescape(alias) for alias in row[15]),
            row[16],
            row[17],
            row[18],
        )
    except CacheSerializationError as error:
        raise Damage(str(error)) from error
    except (ValueError, TypeError, AttributeError) as error:  # which may quote what is stored
        raise Damage(f"{type(error).__name__}: it cannot be read") from error


def read_vector(raw: bytes) -> Vector:
    """Return the vector in pgvector's binary form: dimension, an unused number, then big-endian float32."""
    return np.frombuffer(raw, dtype=">f4", offset=4).astype(np.float32)
