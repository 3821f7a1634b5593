"""Vectors of texts that the SQLite backend keeps apart from entries: see `StorageBackend.recall`.

The table is made with the first vector, not with the file: versions of this package that do not know it can go on
using the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

__all__ = ["clear", "find", "keep", "remove_old"]

_MOST = 10_000
_SHARE = 8  # of the bytes that the file may have, vectors take at most one in so many
_PAGE = 4096  # a vector of 384 numbers with its key fills nearly half of one
_STEP = 500

_CREATE = (
    "CREATE TABLE IF NOT EXISTS vectors (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, namespace TEXT NOT NULL, "
    "expires_at REAL NOT NULL, vector BLOB NOT NULL)",
    "CREATE INDEX IF NOT EXISTS vectors_expires_at ON vectors (expires_at)",
)


def find(connection: sqlite3.Connection, digest: bytes, now: float) -> bytes | None:
    """Return the vector that is kept under a digest, as a blob."""
    try:
        row = connection.execute(
            "SELECT vector FROM vectors WHERE digest = ? AND expires_at > ?", (digest, now)
        ).fetchone()
    except sqlite3.OperationalError as error:
        if not _is_missing(error):
            raise
        return None
    return row[0] if row is not None and type(row[0]) is bytes else None


def keep(connection: sqlite3.Connection, rows: Sequence[tuple[bytes, str, float, bytes]]) -> None:
    """Write rows of digest, namespace, time of expiry and vector."""
    for statement in _CREATE:
        connection.execute(statement)
    connection.executemany("REPLACE INTO vectors (digest, namespace, expires_at, vector) VALUES (?, ?, ?, ?)", rows)


def clear(connection: sqlite3.Connection, namespace: str | None) -> None:
    """Remove all vectors, or those of one namespace."""
    try:
        if namespace is None:
            connection.execute("DELETE FROM vectors")
        else:
            connection.execute("DELETE FROM vectors WHERE namespace = ?", (namespace,))
    except sqlite3.OperationalError as error:
        if not _is_missing(error):
            raise


def remove_old(connection: sqlite3.Connection, now: float, max_bytes: int | None) -> int:
    """Remove some vectors that are expired or too many, the oldest first; return how many."""
    most = _MOST if max_bytes is None else min(_MOST, max_bytes // _SHARE // (_PAGE // 2))
    try:
        return sum(
            connection.execute(f"DELETE FROM vectors WHERE id IN ({chosen})", (value, _STEP)).rowcount
            for chosen, value in (
                ("SELECT id FROM vectors WHERE expires_at <= ? LIMIT ?", now),
                ("SELECT id FROM vectors WHERE id <= (SELECT max(id) FROM vectors) - ? ORDER BY id LIMIT ?", most),
            )
        )
    except sqlite3.OperationalError as error:
        if not _is_missing(error):
            raise
        return 0


def _is_missing(error: Any) -> bool:
    return "no such table" in str(error)
