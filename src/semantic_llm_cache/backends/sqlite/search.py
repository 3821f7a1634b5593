"""What the searching thread of the SQLite backend does: the nearest entries by vector."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from semantic_llm_cache.backends.sqlite.index import IndexFile, Position
from semantic_llm_cache.backends.sqlite.read import Reader
from semantic_llm_cache.backends.sqlite.rows import text_of
from semantic_llm_cache.backends.sqlite.schema import sequence
from semantic_llm_cache.backends.sqlite.watch import Connection
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.index import VectorIndex
from semantic_llm_cache.similarity.base import Vector
from semantic_llm_cache.storage.records import Candidate
from semantic_llm_cache.values.odd_text import escape

__all__ = ["Searcher", "Wanted"]

logger = logging.getLogger("semantic_llm_cache")

_LOAD = 1000  # rows read into the index at a time
_ROUNDING = 1e-4  # most by which similarities from the index and from the row differ


class Wanted(NamedTuple):
    """What a search is for.

    Attributes:
        vector: the query, a unit vector.
        k: most entries.
        threshold: the lowest similarity.
        limits: namespace, scope and embedder of the entries; None does not limit.
        now: wall time in seconds; entries that have expired by then do not count.
    """

    vector: Vector
    k: int
    threshold: float
    limits: dict[str, str | None]
    now: float


class Searcher(Reader):
    """Finds entries by vector. The index is filled by the first search and caught up by each later one.

    Every process has its own index of the one file, taken from the file beside it or read from the table:
    entries written since are those with a higher id, entries gone are listed in `deletions`; who has missed
    lines that were pruned compares all ids. What is returned has been compared with its row: a wrong index
    may miss an entry, it cannot give a wrong one.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.index = VectorIndex()
        self.file = IndexFile(path, self.index)
        self._at: Position | None = None
        self._file: tuple[int, int] | None = None  # the database that the index was filled from
        # The connection of the last look and the version of the data that it then saw.
        self._seen: tuple[sqlite3.Connection, int] | None = None

    def candidates(self, connection: Connection, wanted: Wanted) -> list[Candidate]:
        """Return live entries, nearest first. Index and rows are of one moment."""
        return self.get_or_candidates(connection, None, wanted)[1]

    def get_or_candidates(
        self, connection: Connection, key: str | None, wanted: Wanted
    ) -> tuple[CacheEntry | None, list[Candidate]]:
        """Return the live entry under `key`, else what `candidates` does; all of one moment."""
        connection.execute("BEGIN")
        try:
            entry = None if key is None else self.get(connection, key, wanted.now)
            return entry, self._candidates(connection, wanted) if entry is None else []
        finally:
            self.damage.tell()
            if connection.in_transaction:
                connection.execute("COMMIT")

    def _candidates(self, connection: Connection, wanted: Wanted) -> list[Candidate]:
        self._catch_up(connection)
        count, read_anew = wanted.k, False
        held = {name: None if limit is None else escape(limit) for name, limit in wanted.limits.items()}
        while True:
            pairs = self.index.search(wanted.vector, count, wanted.threshold, **held)
            found = self._read(connection, pairs, wanted)
            if found is None:
                if read_anew:
                    return []
                read_anew = True
                self.file.discard()
                self._catch_up(connection)
                continue
            if len(found) == len(pairs) or len(found) >= wanted.k:
                return found[: wanted.k]
            # Expired or damaged entries were counted, live ones farther away were cut off.
            count *= 4

    def finish(self, connection: sqlite3.Connection | None = None) -> None:
        """Write the index to its file if that is worth it, and end what runs in the background."""
        self.file.finish()

    def _read(
        self,
        connection: sqlite3.Connection,
        pairs: list[tuple[int, float]],
        wanted: Wanted,
    ) -> list[Candidate] | None:
        """Return the live entries of `pairs`; None when the index is not one of this table."""
        rows = {row[0]: row for row in self.rows(connection, "id", [id for id, _ in pairs])}
        found = []
        for id, cosine in pairs:
            row = rows.get(id)
            entry = None if row is None else self.entry(row, wanted.now)
            if row is None or entry is None:
                self.index.remove(id)
            elif not _agrees(entry, wanted.vector, cosine, wanted.limits):
                logger.warning("%s does not agree with its database: its vectors are read again", self.file.path)
                return None
            else:
                found.append(Candidate(text_of(row[1]), entry, max(0.0, cosine)))
        return found

    def _catch_up(self, connection: Connection) -> None:
        opened = connection.opened
        if self.file.damaged or (opened is not None and opened.file != self._file):
            self._forget()
            self.damage.clear()
            self._file = None if opened is None else opened.file
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if self._seen is not None and self._seen[0] is connection and self._seen[1] == version:
            return
        try:
            if self._at is None:
                self._at = self.file.load(connection)
            changes = 0
            if self._at is None:
                start = Position(0, sequence(connection, "deletions"))
            else:
                start = self._at
                changes += self._remove(connection, start.last_deletion)
            changes += self._load(connection, start.last_id)
        except BaseException:
            self._forget()
            raise
        self._at = Position(sequence(connection, "entries"), sequence(connection, "deletions"))
        self._seen = (connection, version)
        self.file.changed(self._at, changes)

    def _forget(self) -> None:
        self.index.clear()
        self._at = self._seen = None
        self.file.damaged = False

    def _remove(self, connection: sqlite3.Connection, after: int) -> int:
        """Remove from the index entries deleted since line `after` of the deletions; return how many lines."""
        lines = sequence(connection, "deletions") - after
        gone = connection.execute("SELECT id FROM deletions WHERE seq > ?", (after,)).fetchall()
        if len(gone) == lines:
            for (id,) in gone:
                self.index.remove(id)
        else:  # lines are kept for a while only
            there = {id for (id,) in connection.execute("SELECT id FROM entries")}
            for id in self.index.ids():
                if id not in there:
                    self.index.remove(id)
        return lines

    def _load(self, connection: sqlite3.Connection, after: int) -> int:
        """Read vectors of entries with an id beyond `after` into the index; return how many."""
        count = 0
        cursor = connection.execute(
            "SELECT id, scope, embedder, namespace, vector FROM entries "
            "WHERE id > ? AND vector IS NOT NULL ORDER BY id",
            (after,),
        )
        while rows := cursor.fetchmany(_LOAD):
            count += len(rows)
            rows.sort(key=_partition)
            for (scope, embedder, namespace, length), group in groupby(rows, _partition):
                items = list(group)
                ids = [item[0] for item in items]
                bad = ids
                if length > 0 and length % 4 == 0:
                    flat = np.frombuffer(b"".join([item[4] for item in items]), dtype="<f4")
                    matrix = flat.astype(np.float32, copy=False).reshape(len(ids), length // 4)
                    bad = self.index.add_many(ids, matrix, namespace=namespace, scope=scope, embedder=embedder)
                for id in bad:
                    (key,) = connection.execute("SELECT key FROM entries WHERE id = ?", (id,)).fetchone()
                    self.damage.note(id, key, "its vector is not one of unit length")
        return count


def _agrees(entry: CacheEntry, vector: Vector, cosine: float, limits: dict[str, str | None]) -> bool:
    own = entry.embedding
    if own is None or own.shape != vector.shape:
        return False
    length = float(own.dot(own)) ** 0.5
    return bool(
        abs(float(own.dot(vector)) - cosine * length) < _ROUNDING * length
        and all(limit is None or getattr(entry, name) == limit for name, limit in limits.items())
    )


def _partition(row: Sequence[Any]) -> tuple[str, str, str, int]:
    blob = row[4]
    return row[1], row[2], row[3], len(blob) if type(blob) is bytes else -1
