"""`EncryptedBackend`: any backend, with prompts, answers and all other text in it encrypted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, get_args

from semantic_llm_cache.arguments import check_count, check_namespace, shown
from semantic_llm_cache.backends.damage import DamageLog
from semantic_llm_cache.backends.encrypted.front import KeyedFront
from semantic_llm_cache.backends.encrypted.keys import EncryptionKey, read_keys
from semantic_llm_cache.backends.encrypted.mark import Mark
from semantic_llm_cache.backends.encrypted.reencryption import Reencryption
from semantic_llm_cache.backends.encrypted.sealer import Sealer, Vectors
from semantic_llm_cache.backends.encrypted.sealing import (
    prompt_name,
    stored_key,
)
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.runtime.yielding import Pace
from semantic_llm_cache.similarity.base import Vector, unit
from semantic_llm_cache.storage.contract import CandidateBackend, Observer, StorageBackend
from semantic_llm_cache.storage.notes import NOTES
from semantic_llm_cache.storage.records import Candidate, Held, Lease, Text
from semantic_llm_cache.storage.registry import KEYS_STATE, plain_backend
from semantic_llm_cache.storage.selection import Selection

__all__ = ["EncryptedBackend", "Vectors"]


class EncryptedBackend(CandidateBackend):
    """Encrypts what another backend stores. It is used like that backend.

    Args:
        backend: the backend that stores, or its URL.
        key: 32 random bytes, as 64 hex digits or base64, or several such keys: the first encrypts, all decrypt.
        vectors: what is stored of embeddings. ``"rotated"``: turned by a secret rotation, which keeps near matching as
            it is. ``"clear"``: as they are. ``"none"``: nothing, so that only equal text is found. None is what the
            storage was used with before, at first ``"rotated"``. See ``docs/encryption.md`` for what each protects
            from.

    Raises:
        EncryptionKeyError: (a ValueError) the key cannot be read; from the first operation, the storage was encrypted
            with other keys.
        ImportError: the package ``cryptography`` is not installed.

    Prompt, answer, aliases, tags and scope are encrypted with AES-256-GCM, as one message that is bound to the key of
    its entry: an entry that was changed or moved to another key is left out, with a warning. Keys, scopes and tags are
    stored as keyed hashes (HMAC-SHA-256). In clear are namespaces, times, sizes, token counts, costs, hit counts,
    counters, and the name of the embedding model.

    Example:
        >>> import secrets
        >>> from semantic_llm_cache import SemanticCache
        >>> from semantic_llm_cache.backends import EncryptedBackend
        >>> cache = SemanticCache(EncryptedBackend("sqlite:///cache.db", secrets.token_hex(32), vectors="none"))
    """

    def __init__(self, backend: StorageBackend | str, key: EncryptionKey, *, vectors: Vectors | None = None) -> None:
        if vectors is not None and vectors not in get_args(Vectors):
            raise ValueError(f"vectors={shown(vectors)} must be 'rotated', 'clear' or 'none'")
        if isinstance(backend, EncryptedBackend):
            raise TypeError("backend= is encrypted already: pass all keys to one EncryptedBackend")
        self._keys = read_keys(key, "key")
        self.inner = plain_backend(backend)
        self._sealer = Sealer(self._keys, vectors or "rotated", DamageLog(self.url))
        self._mark = Mark(self.inner, self._sealer, chosen=vectors is not None)
        self._hits = self._misses = 0
        front = self.inner.front
        if front is not None and len(self._keys) == 1:  # with several, an entry has more than one key in the storage
            self.front = KeyedFront(front, lambda name: stored_key(self._keys[0], name))

    # ------------------------------------------------------------------------------ what the inner one is

    @property
    def url(self) -> str:
        """That of the backend inside, marked as encrypted."""
        return f"{self.inner.url} (encrypted)"

    def __repr__(self) -> str:
        return f"EncryptedBackend({self.inner!r}, {len(self._keys)} key(s), vectors={self.vectors!r})"

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of the keys, the one that encrypts first. They do not reveal the keys."""
        return tuple(self._sealer.by_id)

    @property
    def vectors(self) -> Vectors:
        """In which form vectors are stored: what was given, else what the storage was used with before."""
        return self._sealer.vectors

    @property
    def clock(self) -> Callable[[], float]:
        """Wall time, which the backend inside uses too."""
        return self.inner.clock

    @clock.setter
    def clock(self, clock: Callable[[], float]) -> None:
        self.inner.clock = clock

    @property
    def observer(self) -> Observer | None:
        """See `StorageBackend`."""
        return self.inner.observer

    @observer.setter
    def observer(self, observer: Observer | None) -> None:
        self.inner.observer = observer

    @property
    def gives_leases(self) -> bool:  # type: ignore[override]
        """Whether the backend inside does."""
        return self.inner.gives_leases

    @property
    def lease_seconds(self) -> float:  # type: ignore[override]
        """That of the backend inside."""
        return self.inner.lease_seconds

    @property
    def first_search_seconds(self) -> float | None:  # type: ignore[override]
        """That of the backend inside."""
        return self.inner.first_search_seconds

    @property
    def vector_seconds(self) -> float:
        """That of the backend inside; 0 where no vectors may be stored."""
        return 0.0 if self.vectors == "none" else self.inner.vector_seconds

    @vector_seconds.setter
    def vector_seconds(self, seconds: float) -> None:
        self.inner.vector_seconds = seconds

    # ------------------------------------------------------------------------------ by key

    async def get(self, key: str) -> CacheEntry | None:
        """Return the live entry under `key`, or None."""
        await self._mark.verify()
        place, *older = self._sealer.names(key)
        entry = await self._sealer.entry(place, await self.inner.get(place))
        if entry is None and older:
            for place, stored in zip(older, await self.inner.get_many(older, touch=False), strict=True):
                entry = entry or await self._sealer.entry(place, stored)
        self._count(entry is not None)
        return entry

    async def get_many(self, keys: Sequence[str], *, touch: bool = True) -> list[CacheEntry | None]:
        """Return the live entries under `keys`, in order."""
        await self._mark.verify()
        found: list[CacheEntry | None] = [None] * len(keys)
        pace = Pace()
        for number, each in enumerate(self._keys):
            missing = [at for at, entry in enumerate(found) if entry is None]
            places = [stored_key(each, keys[at]) for at in missing]
            present = await self.inner.get_many(places, touch=touch and number == 0)
            for at, place, stored in zip(missing, places, present, strict=True):
                found[at] = await self._sealer.entry(place, stored)
                if pace.over():
                    await pace.rest()
        for entry in found if touch else ():
            self._count(entry is not None)
        return found

    def _count(self, hit: bool) -> None:
        self._hits += hit
        self._misses += not hit

    async def set(self, key: str, entry: CacheEntry) -> None:
        """Store `entry` encrypted. ValueError for a useless vector."""
        await self._mark.announce()
        place, *older = self._sealer.names(key)
        await self.inner.set(place, await self._sealer.sealed(key, entry))
        if older:
            await self.inner.delete_many(older)

    async def set_many(self, items: Iterable[tuple[str, CacheEntry]]) -> int:
        """Store all items; return how many."""
        await self._mark.announce()
        sealed, older, pace = [], list[str](), Pace()
        for key, entry in items:
            place, *old = self._sealer.names(key)
            sealed.append((place, await self._sealer.sealed(key, entry)))
            older += old
            if pace.over():
                await pace.rest()
        count = await self.inner.set_many(sealed)
        if older:
            await self.inner.delete_many(older)
        return count

    async def delete(self, key: str) -> bool:
        """Remove the entry; True when there was a live one."""
        await self._mark.verify()
        return any([await self.inner.delete(place) for place in self._sealer.names(key)])

    async def delete_many(self, keys: Iterable[str]) -> int:
        """Delete each key; return how many there were."""
        await self._mark.verify()
        return await self.inner.delete_many([place for key in keys for place in self._sealer.names(key)])

    async def delete_stored(self, key: str, created_at: float) -> bool:
        """Remove the entry if it was stored at that time; True when there was a live one."""
        await self._mark.verify()
        return any([await self.inner.delete_stored(place, created_at) for place in self._sealer.names(key)])

    async def clear(self, namespace: str | None = None) -> int:
        """Remove all entries, or those of one namespace; return how many. Needs no key."""
        return await self.inner.clear(namespace)

    async def invalidate(
        self, pattern: str | None = None, *, tags: Iterable[str] | None = None, namespace: str | None = None
    ) -> int:
        """Delete entries whose prompt holds `pattern` (case-insensitive) and that carry any of `tags`.

        With a pattern all entries are read and decrypted; tags alone are found by their keyed hashes.
        """
        await self._mark.verify()
        wanted = Selection.of(pattern, tags, namespace)
        if wanted.empty:
            return 0
        if wanted.needle is None:
            return await self.inner.invalidate(tags=self._tags(wanted.tags or ()), namespace=namespace)
        keys = [key async for key, entry in self.scan(namespace=namespace) if wanted.matches(entry.prompt, entry.tags)]
        return await self.delete_many(keys)

    async def scan(self, batch_size: int = 500, namespace: str | None = None) -> AsyncIterator[tuple[str, CacheEntry]]:
        """Yield all live entries that the keys open."""
        check_count(batch_size, "batch_size")
        check_namespace(namespace)
        await self._mark.verify()
        seen: set[str] = set()  # with several keys, a key may be stored under two of them for a moment
        pace = Pace()
        with self._sealer.damage.together():
            async for place, stored in self.inner.scan(batch_size, namespace):
                opened = await self._sealer.opened(place, stored)
                if opened is not None and opened[0] not in seen:
                    if len(self._keys) > 1:
                        seen.add(opened[0])
                    yield opened
                if pace.over():
                    await pace.rest()

    # --------------------------------------------------------------------------- by vector

    async def find_candidates(
        self,
        embedding: Vector | Sequence[float],
        threshold: float,
        *,
        k: int = 8,
        namespace: str | None = None,
        scope: str | None = None,
        embedder: str | None = None,
    ) -> list[Candidate]:
        """Return up to `k` live entries at or above `threshold`, nearest first."""
        vector = unit(embedding)
        await self._mark.verify()
        if self.vectors == "none":
            return []
        rotated = self.vectors == "rotated"
        if embedder is None and rotated and len(self._keys) > 1:  # the storage cannot tell their vectors apart
            limits = {"namespace": namespace, "scope": scope, "embedder": embedder}
            found = await self._scan_for(vector, threshold, k, limits)
            self._count(bool(found))
            return found
        found = []
        for key in self._keys if rotated or scope is not None else self._keys[:1]:
            near = await self.inner.find_candidates(
                await self._sealer.hidden(key, vector),
                threshold,
                k=k,
                namespace=namespace,
                scope=None if scope is None else key.name("scope", scope),
                embedder=None if embedder is None else self._sealer.vector_name(key, embedder),
            )
            for candidate in near:
                opened = await self._sealer.opened(candidate.key, candidate.entry)
                if opened is not None:
                    found.append(Candidate(*opened, candidate.similarity))
        self._count(bool(found))
        return sorted(found, key=lambda candidate: -candidate.similarity)[:k]

    async def set_vectors(self, items: Sequence[tuple[str, str, Any]], embedder: str) -> list[bool]:
        """Give entries that still have these prompts vectors of another embedder."""
        await self._mark.announce()
        done = [False] * len(items)
        if self.vectors == "none":
            return done
        for key in self._keys:
            hidden = [
                (stored_key(key, name), prompt_name(key, name, prompt), await self._sealer.hidden(key, vector))
                for name, prompt, vector in items
            ]
            written = await self.inner.set_vectors(hidden, self._sealer.vector_name(key, embedder))
            done = [before or now for before, now in zip(done, written, strict=True)]
        return done

    # ------------------------------------------------------------------------------ vectors of texts

    async def recall(self, key: str, text: Text) -> tuple[CacheEntry | None, Vector | None]:
        """Return the live entry under `key`; where there is none, the vector of the text if it is known."""
        await self._mark.verify()
        if not self.vector_seconds or len(self._keys) > 1:
            return await self.get(key), None
        own = self._keys[0]
        place = stored_key(own, key)
        stored, vector = await self.inner.recall(place, self._sealer.text(own, text))
        entry = await self._sealer.entry(place, stored)
        self._count(entry is not None)
        if entry is not None or vector is None:
            return entry, None
        known = unit(vector)
        return None, known if self.vectors == "clear" else await self._sealer.shown(own, known)

    async def keep_vectors(self, vectors: Mapping[Text, Vector | Sequence[float]]) -> None:
        """Keep the vectors of texts, in the form in which those of entries are stored. The texts are keyed hashes."""
        await self._mark.announce()
        if self.vector_seconds:
            own = self._keys[0]
            text, hidden = self._sealer.text, self._sealer.hidden
            await self.inner.keep_vectors({text(own, t): await hidden(own, vector) for t, vector in vectors.items()})

    # ------------------------------------------------------------------------------ changing the key

    async def reencrypt(self, *, plain: bool = False, batch_size: int = 500) -> int:
        """Encrypt all entries and named states with the first key that are not; return how many.

        The cache may be in use meanwhile. Afterwards the other keys are no longer needed. What is left in clear is
        logged.

        Args:
            plain: also entries that are stored without encryption. Only for a storage to which nobody else can have
                written: their origin cannot be checked.
            batch_size: entries read at a time.

        Raises:
            ValueError: `plain` is False, and the storage holds something and was never encrypted: once it is marked as
                encrypted, nothing of that can be read.
        """
        return await Reencryption(self.inner, self._sealer, self._mark, plain).run(batch_size)

    async def forget_keys(self) -> None:
        """Note that no entry is encrypted with another key than the first; for after a rotation."""
        await self._mark.forget_others()

    # ---------------------------------------------------------------------------- the rest

    async def record_hits(self, hits: Mapping[str, int], now: float) -> None:
        """Add to hit counts and set the access times."""
        names = self._sealer.names
        await self.inner.record_hits({place: count for key, count in hits.items() for place in names(key)}, now)

    async def add_counters(self, namespace: str, counters: Mapping[str, float]) -> None:
        """Add to the running counters of a namespace. They are numbers, in clear."""
        await self.inner.add_counters(namespace, counters)

    async def get_counters(self) -> dict[str, dict[str, float]]:
        """Return the sums by namespace."""
        return await self.inner.get_counters()

    async def get_state(self, name: str) -> bytes | None:
        """Return a named blob, decrypted, or None. The mark of the storage is not shown."""
        await self._mark.verify()
        if name == KEYS_STATE:
            return None
        value = await self.inner.get_state(name)
        return None if value is None else self._sealer.opened_state(name, value)

    async def set_state(self, name: str, value: bytes | None) -> None:
        """Store a named blob encrypted, or remove it with None. Its name is in clear."""
        await self._mark.announce()
        await self.inner.set_state(name, None if value is None else self._sealer.sealed_state(name, bytes(value)))

    async def list_states(self, prefix: str = "") -> list[str]:
        """Return the names of the blobs that begin with `prefix`, without those that are not encrypted."""
        names = await self.inner.list_states(prefix)
        return [name for name in names if name != KEYS_STATE and not name.startswith(NOTES)]

    async def note_withdrawal(self, labels: Iterable[str], at: float, by: str) -> None:
        """Note that the entries with any of these labels are being removed: by keyed hashes, the time in clear."""
        await self._mark.verify()
        await self.inner.note_withdrawal(self._tags(labels), at, by)

    async def last_withdrawal(self, labels: Iterable[str], but_by: str | None = None) -> float:
        """Return the time of the last note on any of these labels."""
        await self._mark.verify()
        return await self.inner.last_withdrawal(self._tags(labels), but_by)

    def _tags(self, labels: Iterable[str]) -> list[str]:
        """Return what stands for labels in the storage, under each of the keys."""
        return [key.name("tag", label) for label in labels for key in self._keys]

    async def get_stats(self) -> dict[str, Any]:
        """Return those of the backend inside, and how it is encrypted."""
        await self._mark.verify()
        counts = self.tally(self._hits, self._misses)  # one read here may be several there
        return {**await self.inner.get_stats(), **counts, "encrypted": True, "vectors": self.vectors}

    # ------------------------------------------------------------------------------ leases

    async def acquire_lease(self, key: str, token: str, seconds: float) -> Lease | Held:
        """Take the lease on `key` for `seconds`, if it is free."""
        await self._mark.verify()
        got = await self.inner.acquire_lease(self._sealer.names(key)[0], token, seconds)
        return got._replace(key=key) if isinstance(got, Lease) else got

    async def renew_lease(self, lease: Lease, seconds: float) -> bool:
        """Renew the lease for `seconds` from now."""
        return await self.inner.renew_lease(self._inside(lease), seconds)

    async def release_lease(self, lease: Lease) -> None:
        """Give the lease back and wake the callers that wait."""
        await self.inner.release_lease(self._inside(lease))

    async def wait_for_lease(self, key: str, seconds: float) -> None:
        """Return once the lease on `key` is given back, after `seconds` at the latest."""
        await self.inner.wait_for_lease(self._sealer.names(key)[0], seconds)

    async def set_leased(self, lease: Lease, entry: CacheEntry) -> bool:
        """Store the entry encrypted and give the lease back, in one step."""
        await self._mark.announce()
        stored = await self.inner.set_leased(self._inside(lease), await self._sealer.sealed(lease.key, entry))
        older = self._sealer.names(lease.key)[1:]
        if stored and older:
            await self.inner.delete_many(older)
        return stored

    def _inside(self, lease: Lease) -> Lease:
        return lease._replace(key=self._sealer.names(lease.key)[0])

    async def close(self) -> None:
        """Close the backend inside. The instance may be used again and reopens."""
        await self.inner.close()
