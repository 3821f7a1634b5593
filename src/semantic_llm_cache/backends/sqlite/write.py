"""What the writing thread of the SQLite backend does."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from semantic_llm_cache.backends.sqlite import lease as leases
from semantic_llm_cache.backends.sqlite import vectors
from semantic_llm_cache.backends.sqlite.evict import Evictor
from semantic_llm_cache.backends.sqlite.rows import INSERT, SET_VECTOR
from semantic_llm_cache.backends.sqlite.schema import must_reconnect, sequence
from semantic_llm_cache.backends.sqlite.watch import Connection
from semantic_llm_cache.runtime.worker import Job, Worker

__all__ = ["Writer"]

_SWEEP = 100  # expired entries removed at a time, some milliseconds
_EVICT = 500  # entries that one transaction evicts at most
_KEPT_DELETIONS = 50_000  # an index that has missed more than these compares all ids
_PRUNE = 2_000
_VACUUM = 256  # pages given back at a time
_HOUSEKEEPING_SECONDS = 1.0


class Writer:
    """Applies jobs in group transactions and keeps the file in order in between.

    Args:
        now: gives the wall time.
        evictor: knows the bounds.
    """

    def __init__(self, now: Callable[[], float], evictor: Evictor) -> None:
        self.now = now
        self.evictor = evictor
        self.touched: dict[str, float] = {}  # keys read since, for the order of eviction
        self.evictions = 0
        self.expired = 0
        self._next_look = 0.0

    # ------------------------------------------------------------------------ transactions

    def batch(self, worker: Worker[Connection], jobs: list[Job]) -> None:
        """Run all jobs in one transaction; if that fails, each in its own, so that only the bad fail."""
        try:
            self._transaction(worker, jobs)
        except Exception as error:
            if len(jobs) == 1 or must_reconnect(error) or "locked" in str(error):
                for job in jobs:
                    job.error = worker.translate(error)
                return
            for job in jobs:
                try:
                    self._transaction(worker, [job])
                except Exception as own:
                    job.error = worker.translate(own)

    def _transaction(self, worker: Worker[Connection], jobs: list[Job]) -> None:
        connection = worker.resource()
        try:
            connection.execute("BEGIN IMMEDIATE")
            before = sequence(connection, "entries") if self.evictor.bounded else 0
            for job in jobs:
                job.result = job.function(connection, *job.args)
            evicted, expired = self._keep_within(connection, before)
            connection.execute("COMMIT")
        except BaseException as error:
            # Some errors (a full disk) have rolled back by themselves.
            if isinstance(error, sqlite3.Error) and must_reconnect(error):
                worker.let_go()
            elif connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self.evictions += evicted
        self.expired += expired

    # -------------------------------------------------------------------------------- jobs

    @staticmethod
    def set(connection: sqlite3.Connection, row: tuple[Any, ...]) -> None:
        """Write one row of `encode`."""
        connection.execute(INSERT, row)

    @staticmethod
    def set_many(connection: sqlite3.Connection, rows: list[tuple[Any, ...]]) -> None:
        """Write rows of `encode`."""
        connection.executemany(INSERT, rows)

    @staticmethod
    def set_vectors(
        connection: sqlite3.Connection, items: Sequence[tuple[str, str, bytes]], embedder: str, now: float
    ) -> list[bool]:
        """Give entries (key, prompt) vectors of an embedder; return which of them were there."""
        return [connection.execute(SET_VECTOR, (*item, embedder, now)).rowcount > 0 for item in items]

    @staticmethod
    def delete(connection: sqlite3.Connection, keys: Sequence[str], now: float) -> int:
        """Delete by key; return how many live ones there were."""
        return _delete(connection, "key", keys, now)

    @staticmethod
    def delete_stored(connection: sqlite3.Connection, key: str, created_at: float, now: float) -> int:
        """Delete the entry of a key that was stored at that time; return how many live ones there were."""
        found = connection.execute("SELECT id FROM entries WHERE key = ? AND created_at = ?", (key, created_at))
        return _delete(connection, "id", [id for (id,) in found], now)

    @staticmethod
    def delete_ids(connection: sqlite3.Connection, ids: Sequence[int], now: float) -> int:
        """Delete by id; return how many live ones there were."""
        return _delete(connection, "id", ids, now)

    @staticmethod
    def record_hits(connection: sqlite3.Connection, hits: Mapping[str, int], now: float) -> None:
        """Add to hit counts and set the access times."""
        connection.executemany(
            "UPDATE entries SET hit_count = hit_count + ?, last_accessed = ? WHERE key = ?",
            [(count, now, key) for key, count in hits.items()],
        )

    @staticmethod
    def add_counters(connection: sqlite3.Connection, rows: Iterable[tuple[str, str, float]]) -> None:
        """Add to counters."""
        connection.executemany(
            "INSERT INTO counters (namespace, name, value) VALUES (?, ?, ?) "
            "ON CONFLICT (namespace, name) DO UPDATE SET value = value + excluded.value",
            rows,
        )

    @staticmethod
    def set_state(connection: sqlite3.Connection, name: str, value: bytes | None) -> None:
        """Store or remove a named blob."""
        if value is None:
            connection.execute("DELETE FROM states WHERE name = ?", (name,))
        else:
            connection.execute("REPLACE INTO states (name, value) VALUES (?, ?)", (name, value))

    # ------------------------------------------------------------------------- housekeeping

    def _keep_within(self, connection: sqlite3.Connection, before: int) -> tuple[int, int]:
        """Delete entries until the bounds are kept, ids up to `before` first; return how many evicted and expired."""
        evicted = expired = 0
        while (excess := min(self.evictor.excess(connection), _EVICT - evicted)) > 0:
            if not expired:
                expired = self._remove_expired(connection, excess)
                self._touch(connection)
                if expired >= excess:
                    break
                excess -= expired
            gone = self.evictor.evict(connection, excess, before)
            evicted += gone
            if not gone:
                break
        return evicted, expired

    def _kept_deletions(self) -> int:
        # A line takes some 12 bytes: they may not drive out what the bound is for.
        most = self.evictor.max_bytes
        return _KEPT_DELETIONS if most is None else min(_KEPT_DELETIONS, max(500, most // 100))

    def _touch(self, connection: sqlite3.Connection) -> None:
        if self.touched:
            touched, self.touched = self.touched, {}
            connection.executemany(
                # Not an entry that has replaced the one that was read.
                "UPDATE entries SET last_accessed = max(?1, coalesce(last_accessed, 0)) "
                "WHERE key = ?2 AND created_at <= ?1",
                [(when, key) for key, when in list(touched.items())],  # a copy: loops may still add
            )

    def _remove_expired(self, connection: sqlite3.Connection, limit: int) -> int:
        return connection.execute(
            "DELETE FROM entries WHERE id IN (SELECT id FROM entries "
            "WHERE expires_at IS NOT NULL AND expires_at <= ? LIMIT ?)",
            (self.now(), limit),
        ).rowcount

    def idle(self, worker: Worker[Connection]) -> bool:
        """Do a little housekeeping, at most once a second; True when there is more of it."""
        if time.monotonic() < self._next_look:
            return False
        connection = worker.resource()
        connection.execute("BEGIN IMMEDIATE")
        try:
            expired = self._remove_expired(connection, _SWEEP)
            evicted, also_expired = self._keep_within(connection, sequence(connection, "entries"))
            pruned = connection.execute(
                "DELETE FROM deletions WHERE seq <= min((SELECT min(seq) FROM deletions) + ?, "
                "(SELECT seq FROM sqlite_sequence WHERE name = 'deletions') - ?)",
                (_PRUNE, self._kept_deletions()),
            ).rowcount
            leases.remove_old(connection)
            outdated = vectors.remove_old(connection, self.now(), self.evictor.max_bytes)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._next_look = time.monotonic() + _HOUSEKEEPING_SECONDS
            raise
        self.expired += expired + also_expired
        self.evictions += evicted
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        if crowded := free > _VACUUM and 4 * free > pages:
            connection.execute(f"PRAGMA incremental_vacuum({_VACUUM})").fetchall()
        if expired == _SWEEP or evicted >= _EVICT or pruned > 0 or outdated or crowded:
            return True
        self._next_look = time.monotonic() + _HOUSEKEEPING_SECONDS
        return False


def _delete(connection: sqlite3.Connection, column: str, values: Sequence[Any], now: float) -> int:
    live = 0
    for start in range(0, len(values), 500):
        some = values[start : start + 500]
        among = f"{column} IN ({','.join('?' * len(some))})"
        (over,) = connection.execute(
            f"SELECT count(*) FROM entries WHERE {among} AND expires_at <= ?", (*some, now)
        ).fetchone()
        live += connection.execute(f"DELETE FROM entries WHERE {among}", some).rowcount - over
    return live
