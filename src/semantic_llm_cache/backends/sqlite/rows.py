"""Entries to rows and back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

import numpy as np

from semantic_llm_cache.config import SCHEMA_VERSION, CacheEntry
from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.similarity.base import Vector, unit
from semantic_llm_cache.values.encoding import dumps, loads
from semantic_llm_cache.values.odd_text import unescape

__all__ = [
    "COLUMNS",
    "INSERT",
    "SET_VECTOR",
    "Damage",
    "decode",
    "encode",
    "fetch",
    "is_over",
    "pack_vector",
    "read_vector",
    "text_of",
]

_FIELDS = (
    "prompt, response, vector, created_at, ttl, namespace, hit_count, input_tokens, output_tokens, "
    "last_accessed, scope, embedder, kind, tags, aliases, duration_ms, cost_usd, schema_version"
)
COLUMNS = f"id, key, {_FIELDS}"
"""What `decode` takes: id, key, then the fields of `CacheEntry` in their order."""

INSERT = (
    f"REPLACE INTO entries (key, expires_at, {_FIELDS}) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

# A new row, as for every change of a vector, so that the index of every process notices it.
_OTHERS = ", ".join(name for name in _FIELDS.split(", ") if name not in ("vector", "embedder"))
SET_VECTOR = (
    f"REPLACE INTO entries (key, expires_at, vector, embedder, {_OTHERS}) "
    f"SELECT key, expires_at, ?3, ?4, {_OTHERS} FROM entries WHERE key = ?1 AND prompt = ?2 "
    f"AND NOT (vector IS NOT NULL AND embedder = ?4) AND (expires_at IS NULL OR expires_at > ?5) "
    f"AND schema_version = {SCHEMA_VERSION}"
)
"""Key, prompt, vector, embedder, time: gives a live entry with this prompt another vector."""


class Damage(Exception):
    """A row that cannot be read."""


def encode(key: str, entry: CacheEntry) -> tuple[Any, ...]:
    """Return the parameters of `INSERT`. ValueError for a zero or non-finite vector."""
    vector = None if entry.embedding is None else pack_vector(entry.embedding)
    return (
        key,
        None if entry.ttl is None else entry.created_at + entry.ttl,
        entry.prompt,
        dumps(entry.response),
        vector,
        entry.created_at,
        entry.ttl,
        entry.namespace,
        entry.hit_count,
        entry.input_tokens,
        entry.output_tokens,
        entry.last_accessed,
        entry.scope,
        entry.embedder,
        entry.kind,
        _pack(entry.tags),
        _pack(entry.aliases),
        entry.duration_ms,
        entry.cost_usd,
        entry.schema_version,
    )


def decode(row: Sequence[Any]) -> CacheEntry:
    """Return the entry of a row of `COLUMNS`. Raises Damage."""
    if type(row[2]) is not str or type(row[3]) is not str:
        raise Damage("text that is not UTF-8")
    try:
        vector = None if row[4] is None else read_vector(row[4])
        scope, embedder, kind = map(text_of, row[12:15])
        texts = [text_of(row[7]), *row[8:12], scope, embedder, kind, _unpack(row[15]), _unpack(row[16])]
        fields = [unescape(row[2]), loads(unescape(row[3])), vector, row[5], row[6], *texts, *row[17:]]
        return CacheEntry(*fields)
    except CacheSerializationError as error:
        raise Damage(str(error)) from error
    except (ValueError, TypeError) as error:  # which may quote what is stored
        raise Damage(f"{type(error).__name__}: it cannot be read") from error


def is_over(row: Sequence[Any], now: float) -> bool:
    """Return whether a row of `COLUMNS` is expired, or of another version of the entry's form."""
    return bool((row[6] is not None and now >= row[5] + row[6]) or row[19] != SCHEMA_VERSION)


def pack_vector(vector: Any) -> bytes:
    """Return a vector as a blob. ValueError for one without direction."""
    return unit(vector).astype("<f4", copy=False).tobytes()


def read_vector(blob: bytes) -> Vector:
    """Return the vector in a blob of little-endian float32. Raises ValueError."""
    if not blob or len(blob) % 4:
        raise ValueError(f"a vector of {len(blob)} bytes")
    return np.frombuffer(blob, dtype="<f4").astype(np.float32)


def fetch(connection: sqlite3.Connection, sql: str, parameters: Sequence[Any]) -> list[Any]:
    """Return all rows of a query, also when one holds text that is not UTF-8."""
    try:
        return connection.execute(sql, parameters).fetchall()
    except sqlite3.OperationalError as error:
        if "decode" not in str(error):
            raise
    # Such a row is damaged, its neighbours are not. Its text comes out as bytes, which `decode` refuses.
    connection.text_factory = _text_or_bytes
    try:
        return connection.execute(sql, parameters).fetchall()
    finally:
        connection.text_factory = str


def _text_or_bytes(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _pack(items: Sequence[str]) -> str:
    return json.dumps(list(items), ensure_ascii=False) if items else ""  # the connection escapes it


def _unpack(text: str) -> tuple[str, ...]:
    return tuple(json.loads(unescape(text))) if text else ()


def text_of(held: Any) -> Any:
    """Return a text as it was before the connection escaped it; what is no text, in a damaged row, as it is."""
    return unescape(held) if type(held) is str else held
