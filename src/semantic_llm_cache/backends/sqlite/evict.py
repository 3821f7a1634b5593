"""Which rows go when a file of entries reaches its bounds."""

from __future__ import annotations

import random
import sqlite3
from bisect import insort
from typing import Any

from semantic_llm_cache.backends.eviction import Standing, score
from semantic_llm_cache.backends.sqlite.schema import sequence

__all__ = ["Evictor"]

_ALL = 1_000  # up to so many entries are all weighed, of more a sample
_RUNS, _RUN = 128, 8  # a sample: rows in a row, from so many places
_KEPT = 16  # one in so many of the weighed is a candidate: then the others are weighed again
_EMPTY_PAGES = 24  # of a file without entries, about

# After the id, the fields of a `Standing`.
_WEIGHED = (
    "id, hit_count, coalesce(last_accessed, 0.0), created_at, duration_ms, cost_usd, "
    "length(key) + length(prompt) + length(response) + coalesce(length(vector), 0)"
)


class Evictor:
    """Picks rows to delete, those of the lowest `score` first. Runs in the writing thread.

    For `lru` the database keeps an index in that order. For the others nothing is kept in order, as every hit would
    have to be written there: rows are weighed when some must go, all of them or a sample, and the lowest
    of these wait as candidates for the next times, together with what is written meanwhile. Hits only raise a
    score, so while all are weighed the choice is exact.

    Args:
        policy: of `eviction.POLICIES`.
        max_size: most entries, or None.
        max_bytes: most bytes in use in the file, apart from what an empty one has; or None.
    """

    def __init__(self, policy: str, max_size: int | None, max_bytes: int | None) -> None:
        self.policy = policy
        self.max_size = max_size
        self.max_bytes = max_bytes
        self._candidates: list[tuple[float, int]] = []  # lowest first
        self._limit = 0.0  # the highest score that made a candidate
        self._weighed_to = 0  # the last id that was there when rows were weighed
        self._random = random.Random()

    @property
    def bounded(self) -> bool:
        """Whether there is any bound."""
        return self.max_size is not None or self.max_bytes is not None

    def opened(self, connection: sqlite3.Connection) -> None:
        """Make the index that `lru` needs. The file may be another one than before."""
        self._candidates, self._limit, self._weighed_to = [], 0.0, 0
        if self.bounded and self.policy == "lru":
            connection.execute(
                "CREATE INDEX IF NOT EXISTS entries_used_at ON entries (coalesce(last_accessed, created_at), id)"
            )

    def excess(self, connection: sqlite3.Connection) -> int:
        """Return how many entries are too many."""
        if not self.bounded:
            return 0
        (count,) = connection.execute("SELECT value FROM meta WHERE name = 'entries'").fetchone()
        excess = 0 if self.max_size is None else count - self.max_size
        if self.max_bytes is not None:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
            (page,) = connection.execute("PRAGMA page_size").fetchone()
            used = (pages - free - _EMPTY_PAGES) * page
            if used > self.max_bytes:
                excess = max(excess, -(-(used - self.max_bytes) * count // used))
        return int(min(excess, count))

    def evict(self, connection: sqlite3.Connection, count: int, before: int) -> int:
        """Delete `count` entries, those with an id up to `before` first; return how many."""
        if self.policy == "lru":
            done = 0
            for condition, parameters in (("WHERE id <= ?", (before,)), ("", ())):
                if done < count:
                    done += connection.execute(
                        f"DELETE FROM entries WHERE id IN (SELECT id FROM entries {condition} "
                        "ORDER BY coalesce(last_accessed, created_at), id LIMIT ?)",
                        (*parameters, count - done),
                    ).rowcount
            return done
        return sum(
            connection.execute("DELETE FROM entries WHERE id = ?", (id,)).rowcount
            for id in self._lowest(connection, count, before)
        )

    def _lowest(self, connection: sqlite3.Connection, count: int, before: int) -> list[int]:
        chosen: list[int] = []
        spared: list[tuple[float, int]] = []  # written just now
        self._weigh_new(connection)
        while len(chosen) < count:
            if not self._candidates:
                self._weigh(connection, {*chosen, *[id for _, id in spared]})
                if not self._candidates:
                    break
            worth, id = self._candidates.pop(0)
            row = connection.execute(f"SELECT {_WEIGHED} FROM entries WHERE id = ?", (id,)).fetchone()
            if row is None:
                continue
            now = self._score(row)
            if now > worth:  # it has had a hit since
                if now <= self._limit:
                    insort(self._candidates, (now, id))
            elif id > before:
                spared.append((worth, id))
            else:
                chosen.append(id)
        chosen += [id for _, id in spared[: count - len(chosen)]]
        for item in spared:
            if item[1] not in chosen:
                insort(self._candidates, item)
        return chosen

    def _score(self, row: tuple[Any, ...]) -> float:
        return score(self.policy, Standing(*row[1:]))

    def _weigh(self, connection: sqlite3.Connection, but: set[int]) -> None:
        (count,) = connection.execute("SELECT value FROM meta WHERE name = 'entries'").fetchone()
        if count <= _ALL:
            rows = connection.execute(f"SELECT {_WEIGHED} FROM entries").fetchall()
        else:
            low, high = connection.execute("SELECT min(id), max(id) FROM entries").fetchone()
            rows = []
            for _ in range(_RUNS):
                rows += connection.execute(
                    f"SELECT {_WEIGHED} FROM entries WHERE id >= ? ORDER BY id LIMIT {_RUN}",
                    (self._random.randint(low, high),),
                ).fetchall()
        worths = {row[0]: self._score(row) for row in rows}
        lowest = sorted((worth, id) for id, worth in worths.items() if id not in but)
        self._candidates = lowest[: max(8, len(lowest) // _KEPT)]
        self._limit = self._candidates[-1][0] if self._candidates else 0.0
        self._weighed_to = sequence(connection, "entries")

    def _weigh_new(self, connection: sqlite3.Connection) -> None:
        if not self._candidates:
            return
        rows = connection.execute(
            f"SELECT {_WEIGHED} FROM entries WHERE id > ? ORDER BY id LIMIT ?", (self._weighed_to, _ALL)
        ).fetchall()
        for row in rows:
            if (worth := self._score(row)) <= self._limit:
                insort(self._candidates, (worth, row[0]))
        if rows:
            self._weighed_to = rows[-1][0]
