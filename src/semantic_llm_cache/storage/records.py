"""What a storage backend takes and gives, other than entries: candidates, texts, leases."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from semantic_llm_cache.config import CacheEntry

__all__ = ["Candidate", "Held", "Lease", "Text"]


class Candidate(NamedTuple):
    """A stored entry near to a vector: its key, the entry, and max(0, cosine) in [0, 1]."""

    key: str
    entry: CacheEntry
    similarity: float


class Text(NamedTuple):
    """A text whose vector may be kept in a backend, apart from entries.

    Attributes:
        namespace: where it was asked; for `clear`.
        scope: the scope in which it was asked. Vectors are not shared between scopes: how fast an answer comes must not
            say what was asked in another one.
        embedder: fingerprint of what makes the vector.
        text: as it is embedded.
    """

    namespace: str
    scope: str
    embedder: str
    text: str

    @property
    def digest(self) -> bytes:
        """20 bytes that stand for all of it."""
        import hashlib

        hasher = hashlib.blake2b(digest_size=20)
        for part in self:
            data = part.encode("utf-8", "surrogatepass")
            hasher.update(b"%d:" % len(data))
            hasher.update(data)
        return hasher.digest()


class Lease(NamedTuple):
    """The right to answer for a key, for a while.

    Attributes:
        key: of the entry.
        token: random, new for each lease. Only the last one given for a key may store (`set_leased`), which
            keeps out a process that held the lease before and does not know that it ran out.
        answered: True when an entry lay under the key by the time the lease was given: it may have been stored
            just now, so look again.
    """

    key: str
    token: str
    answered: bool = False


class Held(NamedTuple):
    """Another process has the lease: its token, and the seconds until it runs out unless it is renewed."""

    token: str
    seconds: float
