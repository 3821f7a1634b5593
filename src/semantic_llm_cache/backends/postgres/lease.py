"""Leases in PostgreSQL: which process at a time answers for a key.

A row per lease in a table of its own, by the server's clock. It is an unlogged one: after a crash of the server
there are no leases, which costs a call more. Taking one is a function, since a plain statement would look for the
entry as of before it waited for the row. A message is sent only when somebody waits: NOTIFY has the commits of a
database go one after the other.
"""

from __future__ import annotations

from semantic_llm_cache.backends.postgres.link import Link
from semantic_llm_cache.backends.postgres.listen import PostgresListener
from semantic_llm_cache.backends.postgres.rows import digest, encode
from semantic_llm_cache.backends.postgres.upkeep import Upkeep
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.storage.contract import CandidateBackend, Held, Lease

__all__ = ["PostgresLeases"]


class PostgresLeases(CandidateBackend):
    """The part of `PostgresBackend` that gives leases."""

    gives_leases = True

    _link: Link
    _listener: PostgresListener
    _upkeep: Upkeep

    async def acquire_lease(self, key: str, token: str, seconds: float) -> Lease | Held:
        """Take the lease on `key` if nobody has it."""
        rows = await self._link.fetch(
            lambda schema: schema.acquire_lease, digest(key), token, float(seconds), self.clock()
        )
        if not rows:  # it was given back in this very moment
            return Held("", 0.0)
        taken, holder, left, answered = rows[0]
        return Lease(key, token, answered) if taken else Held(holder, max(0.0, left))

    async def renew_lease(self, lease: Lease, seconds: float) -> bool:
        """Have the lease run from now; False when another one was given since."""
        rows = await self._link.fetch(lambda schema: schema.renew_lease, digest(lease.key), lease.token, float(seconds))
        return bool(rows)

    async def release_lease(self, lease: Lease) -> None:
        """Give the lease back."""
        await self._link.fetch(lambda schema: schema.release_lease, digest(lease.key), lease.token)

    async def wait_for_lease(self, key: str, seconds: float) -> None:
        """Wait to be told by NOTIFY; where nothing is heard, look from time to time."""
        place = digest(key)

        async def look(mark: bool) -> float:
            rows = await self._link.fetch(lambda schema: schema.mark_lease if mark else schema.look_at_lease, place)
            return float(rows[0][0]) if rows else 0.0

        await self._listener.wait(place.hex(), seconds, look)

    async def set_leased(self, lease: Lease, entry: CacheEntry) -> bool:
        """Store the entry and give the lease back; False when it is no longer the last one given."""
        row = encode(lease.key, entry)
        with self._changing([lease.key]):
            rows = await self._link.fetch(lambda schema: schema.put_leased, *row, lease.token)
        if rows[0][0]:
            self._upkeep.wrote([row[0]])
        return bool(rows[0][0])
