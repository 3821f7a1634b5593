"""What the reading thread of the SQLite backend does: rows by key, page by page, and sums."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from semantic_llm_cache.backends.damage import DamageLog
from semantic_llm_cache.backends.sqlite import vectors
from semantic_llm_cache.backends.sqlite.rows import COLUMNS, Damage, decode, fetch, is_over, read_vector, text_of
from semantic_llm_cache.backends.sqlite.schema import sequence
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.similarity.base import Vector
from semantic_llm_cache.storage.records import Text
from semantic_llm_cache.storage.selection import Selection

__all__ = ["Reader", "Step"]

_GET = f"SELECT {COLUMNS} FROM entries WHERE key = ?"
_IN = 500  # values in one IN (...)


class Step(NamedTuple):
    """A step of a walk over the entries in the order of their ids.

    Attributes:
        after: the last id of the step before; 0 at the start.
        until: the last id of the walk.
        namespace: only its entries; None for all.
        limit: most entries of the step.
    """

    after: int
    until: int
    namespace: str | None
    limit: int

    def query(self, columns: str) -> tuple[str, tuple[Any, ...]]:
        """Return the statement that gives these columns, and its parameters."""
        bounds = (self.after, self.until, self.limit)
        if self.namespace is None:
            return f"SELECT {columns} FROM entries WHERE id > ? AND id <= ? ORDER BY id LIMIT ?", bounds
        return (
            f"SELECT {columns} FROM entries WHERE namespace = ? AND id > ? AND id <= ? ORDER BY id LIMIT ?",
            (self.namespace, *bounds),
        )


class Reader:
    """Reads rows with the connection it is handed; all methods run in a worker thread."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.damage = DamageLog(path)

    def entry(self, row: Sequence[Any], now: float) -> CacheEntry | None:
        """Return the row's entry; None when it is expired, or damaged, which is noted for the log."""
        if is_over(row, now):
            return None
        try:
            return decode(row)
        except Damage as damage:
            self.damage.note(row[0], row[1], str(damage))
            return None

    def get(self, connection: sqlite3.Connection, key: str, now: float) -> CacheEntry | None:
        """Return the live entry under `key`."""
        try:
            row = connection.execute(_GET, (key,)).fetchone()
        except sqlite3.OperationalError as error:
            if "decode" not in str(error):
                raise
            row = fetch(connection, _GET, (key,))[0]
        entry = None if row is None else self.entry(row, now)
        self.damage.tell()
        return entry

    def recall(
        self, connection: sqlite3.Connection, key: str, text: Text, now: float
    ) -> tuple[CacheEntry | None, Vector | None]:
        """Return the live entry under `key`, else the vector of a text if it is known."""
        rows = fetch(connection, _GET, (key,))
        entry = self.entry(rows[0], now) if rows else None
        self.damage.tell()
        if entry is not None:
            return entry, None
        blob = _vector_of(rows[0], text) if rows else None
        if blob is None:
            blob = vectors.find(connection, text.digest, now)
        try:
            return None, None if blob is None else read_vector(blob)
        except ValueError:
            return None, None

    def get_many(self, connection: sqlite3.Connection, keys: Sequence[str], now: float) -> list[CacheEntry | None]:
        """Return the live entries under `keys`, in order."""
        found = {text_of(row[1]): row for row in self.rows(connection, "key", keys)}
        entries = [None if key not in found else self.entry(found[key], now) for key in keys]
        self.damage.tell()
        return entries

    def rows(self, connection: sqlite3.Connection, column: str, values: Sequence[Any]) -> Iterable[Any]:
        """Yield the rows whose `column` (id or key) is among `values`."""
        for start in range(0, len(values), _IN):
            some = values[start : start + _IN]
            marks = ",".join("?" * len(some))
            yield from fetch(connection, f"SELECT {COLUMNS} FROM entries WHERE {column} IN ({marks})", some)

    def last_id(self, connection: sqlite3.Connection) -> int:
        """Return the highest id given so far."""
        return sequence(connection, "entries")

    def page(
        self,
        connection: sqlite3.Connection,
        step: Step,
        now: float,
    ) -> tuple[int, list[tuple[str, CacheEntry]]]:
        """Return the next id to go on from (0 at the end) and live entries, by id."""
        rows = fetch(connection, *step.query(COLUMNS))
        entries = [(text_of(row[1]), self.entry(row, now)) for row in rows]
        last = rows[-1][0] if len(rows) == step.limit else 0
        return last, [(key, entry) for key, entry in entries if entry is not None]

    def matching(
        self,
        connection: sqlite3.Connection,
        step: Step,
        wanted: Selection,
    ) -> tuple[int, list[int]]:
        """Return the next id to go on from (0 at the end) and the ids that `invalidate` is to delete."""
        rows = fetch(connection, *step.query("id, prompt, tags"))
        last = rows[-1][0] if len(rows) == step.limit else 0
        return last, [id for id, prompt, packed in rows if _matches(wanted, prompt, packed)]

    def ids(self, connection: sqlite3.Connection, step: Step) -> tuple[int, list[int]]:
        """Return the next id to go on from (0 at the end) and ids."""
        ids = [row[0] for row in connection.execute(*step.query("id"))]
        return (ids[-1] if len(ids) == step.limit else 0), ids

    def stats(self, connection: sqlite3.Connection, now: float) -> dict[str, int]:
        """Return size (live entries) and bytes (of the file, in its pages)."""
        (total,) = connection.execute("SELECT value FROM meta WHERE name = 'entries'").fetchone()
        (over,) = connection.execute(
            "SELECT count(*) FROM entries WHERE expires_at IS NOT NULL AND expires_at <= ?", (now,)
        ).fetchone()
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (page_size,) = connection.execute("PRAGMA page_size").fetchone()
        return {"size": total - over, "bytes": pages * page_size}

    def counters(self, connection: sqlite3.Connection) -> dict[str, dict[str, float]]:
        """Return the counters by namespace."""
        sums: dict[str, dict[str, float]] = {}
        for namespace, name, value in connection.execute("SELECT namespace, name, value FROM counters"):
            sums.setdefault(text_of(namespace), {})[text_of(name)] = value
        return sums

    def states(self, connection: sqlite3.Connection, names: Sequence[str]) -> list[bytes | None]:
        """Return the named blobs, in order; None for those that are not there."""
        found: dict[str, bytes] = {}
        for start in range(0, len(names), _IN):
            some = names[start : start + _IN]
            marks = ",".join("?" * len(some))
            rows = connection.execute(f"SELECT name, value FROM states WHERE name IN ({marks})", some)
            found.update((text_of(name), bytes(value)) for name, value in rows)
        return [found.get(name) for name in names]

    def state_names(self, connection: sqlite3.Connection, prefix: str) -> list[str]:
        """Return the names of the blobs that begin with `prefix`."""
        names = connection.execute("SELECT name FROM states")
        return sorted(name for (held,) in names if (name := text_of(held)).startswith(prefix))


def _vector_of(row: Sequence[Any], text: Text) -> bytes | None:
    """Return the vector in a row that cannot be served, if it is that of the text."""
    if type(row[4]) is not bytes:
        return None
    stored = Text(*(text_of(row[column]) for column in (7, 12, 13, 2)))  # namespace, scope, embedder, prompt
    return row[4] if stored == text else None


def _matches(wanted: Selection, prompt: Any, packed: Any) -> bool:
    """Return whether a row fulfils the conditions; one whose prompt or tags cannot be read does not."""
    if wanted.needle is not None and type(prompt) is not str:
        return False
    if wanted.tags is None:
        return wanted.needle is None or wanted.needle in text_of(prompt).casefold()
    try:
        return bool(packed) and wanted.matches(text_of(prompt), json.loads(text_of(packed)))
    except (ValueError, TypeError):
        return False
