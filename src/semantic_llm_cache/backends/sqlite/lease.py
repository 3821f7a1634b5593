"""Leases in the file: which process answers for a key at the moment.

Each lease is a row, by the wall time of the machine: all processes on one file run on one machine. A process that
waits polls the row, less and less often: a read takes some 10 microseconds and no lock. All functions run in a
worker thread, those that write within its transaction.
"""

from __future__ import annotations

import sqlite3
import time
from typing import Any

from semantic_llm_cache.backends.sqlite.rows import INSERT
from semantic_llm_cache.storage.records import Held, Lease

__all__ = ["FIRST_LOOK", "LAST_LOOK", "acquire", "holder", "release", "remove_old", "renew", "store"]

FIRST_LOOK, LAST_LOOK = 0.005, 0.25
"""Seconds between two looks while waiting: at first, and at most."""
_KEPT = 600.0
_CLOCK_SET_BACK = 1.0


def holder(connection: sqlite3.Connection, key: str) -> Held | None:
    """Return the holder of the lease on `key`; None when it is free."""
    row = connection.execute("SELECT token, since, until FROM leases WHERE key = ?", (key,)).fetchone()
    now = time.time()
    if row is None or now >= row[2] or now < row[1] - _CLOCK_SET_BACK:
        return None
    return Held(row[0], row[2] - now)


def acquire(connection: sqlite3.Connection, key: str, token: str, seconds: float, now: float) -> Lease | Held:
    """Take the lease if it is free; `now` is the time by which entries expire."""
    held = holder(connection, key)
    if held is not None and held.token != token:
        return held
    began = time.time()
    connection.execute(
        "REPLACE INTO leases (key, token, since, until) VALUES (?, ?, ?, ?)", (key, token, began, began + seconds)
    )
    there = connection.execute(
        "SELECT 1 FROM entries WHERE key = ? AND (expires_at IS NULL OR expires_at > ?)", (key, now)
    ).fetchone()
    return Lease(key, token, there is not None)


def renew(connection: sqlite3.Connection, lease: Lease, seconds: float) -> bool:
    """Have the lease run from now; False when another one was given since."""
    now = time.time()
    done = connection.execute(
        "UPDATE leases SET since = ?, until = ? WHERE key = ? AND token = ?",
        (now, now + seconds, lease.key, lease.token),
    )
    return done.rowcount > 0


def release(connection: sqlite3.Connection, lease: Lease) -> bool:
    """Remove the lease; False when it was not the last one given."""
    done = connection.execute("DELETE FROM leases WHERE key = ? AND token = ?", (lease.key, lease.token))
    return done.rowcount > 0


def store(connection: sqlite3.Connection, lease: Lease, row: tuple[Any, ...]) -> bool:
    """Remove the lease and write the entry; False, and nothing is done, when it was not the last one given."""
    if not release(connection, lease):
        return False
    connection.execute(INSERT, row)
    return True


def remove_old(connection: sqlite3.Connection) -> None:
    """Remove leases that ran out long ago."""
    connection.execute("DELETE FROM leases WHERE until < ?", (time.time() - _KEPT,))
