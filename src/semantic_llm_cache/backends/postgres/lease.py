"""Leases in PostgreSQL: which process answers for a key at the moment.

Each lease is a row in a table of its own, by the server's clock. The table is unlogged: after a crash of the server
all leases are gone, which costs one more call each. A lease is taken by a function, because a plain statement that
had to wait for the row would see the entries as of before the wait. A message is sent only when a process waits,
because NOTIFY makes the commits of a database run one after the other.
"""

from __future__ import annotations

from semantic_llm_cache.backends.postgres.link import Link
from semantic_llm_cache.backends.postgres.listen import PostgresListener
from semantic_llm_cache.backends.postgres.rows import digest, encode
from semantic_llm_cache.backends.postgres.upkeep import Upkeep
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.storage.contract import CandidateBackend
from semantic_llm_cache.storage.records import Held, Lease

__all__ = ["PostgresLeases"]


class PostgresLeases(CandidateBackend):
    """The part of `PostgresBackend` that gives leases."""

    gives_leases = True

    _link: Link
    _listener: PostgresListener
    _upkeep: Upkeep

    async def acquire_lease(self, key: str, token: str, seconds: float) -> Lease | Held:
        """Take the lease on `key` if it is free."""
        rows = await self._link.fetch(
            lambda schema: schema.acquire_lease, digest(key), token, float(seconds), self.clock()
        )
        if not rows:  # it was given back at the same moment
            return Held("", 0.0)
        taken, holder, left, answered = rows[0]
        return Lease(key, token, answered) if taken else Held(holder, max(0.0, left))

    async def renew_lease(self, lease: Lease, seconds: float) -> bool:
        """Renew the lease from now on; False when another one was given since."""
        rows = await self._link.fetch(lambda schema: schema.renew_lease, digest(lease.key), lease.token, float(seconds))
        return bool(rows)

    async def release_lease(self, lease: Lease) -> None:
        """Give the lease back."""
        await self._link.fetch(lambda schema: schema.release_lease, digest(lease.key), lease.token)

    async def wait_for_lease(self, key: str, seconds: float) -> None:
        """Wait for a NOTIFY; where none can be heard, look from time to time."""
        place = digest(key)

        async def look(mark: bool) -> float:
            rows = await self._link.fetch(lambda schema: schema.mark_lease if mark else schema.look_at_lease, place)
            return float(rows[0][0]) if rows else 0.0

        await self._listener.wait(place.hex(), seconds, look)

    async def set_leased(self, lease: Lease, entry: CacheEntry) -> bool:
        """Store the entry and give the lease back; False when another lease was given since."""
        row = encode(lease.key, entry)
        with self._changing([lease.key]):
            rows = await self._link.fetch(lambda schema: schema.put_leased, *row, lease.token)
        if rows[0][0]:
            self._upkeep.wrote([row[0]])
        return bool(rows[0][0])
