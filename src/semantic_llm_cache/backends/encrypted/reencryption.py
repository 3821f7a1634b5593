"""Encrypting what is in a storage with another key, or for the first time."""

from __future__ import annotations

import logging

from semantic_llm_cache.backends.encrypted.mark import Mark
from semantic_llm_cache.backends.encrypted.sealer import Sealer
from semantic_llm_cache.backends.encrypted.sealing import blob_mark, is_sealed, key_id, stored_key
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.notes import NOTES
from semantic_llm_cache.storage.registry import KEYS_STATE

__all__ = ["Reencryption"]

logger = logging.getLogger("semantic_llm_cache")


class Reencryption:
    """One pass over a storage, which encrypts with the first key what is not. The cache may be in use meanwhile.

    Args:
        inner: the storage.
        sealer: has the keys.
        mark: of the storage.
        plain: whether to encrypt what is stored in clear.
    """

    def __init__(self, inner: StorageBackend, sealer: Sealer, mark: Mark, plain: bool) -> None:
        self._inner = inner
        self._sealer = sealer
        self._mark = mark
        self._plain = plain
        self._left = 0

    async def run(self, batch_size: int) -> int:
        """Encrypt all entries and states; return how many were encrypted.

        Raises:
            ValueError: the storage is not encrypted, and what is in clear is not to be encrypted.
            EncryptionKeyError: it is encrypted with other keys.
        """
        if not self._plain and await self._in_clear(batch_size):
            raise ValueError(
                f"plain=False, and {self._inner.url} is not encrypted: pass plain=True (reencrypt --plain) to encrypt "
                "what is in it, if nobody else could write to it; or copy it into a new cache"
            )
        await self._mark.announce()
        count = 0
        async for place, stored in self._inner.scan(batch_size):
            count += await self._entry(place, stored)
        for name in await self._states():
            count += await self._state(name)
        await self._mark.forget_others()
        if self._left:
            logger.warning(
                "semantic-llm-cache: %s: entries left in clear: %d. Encrypt them with --plain (plain=True) if nobody "
                "else could write to this storage, or delete them",
                self._inner.url, self._left,
            )  # fmt: skip
        return count

    async def _in_clear(self, batch_size: int) -> bool:
        """Return whether the storage was never encrypted, and holds something. Stops at the first that it finds."""
        if await self._mark.is_there():
            return False
        async for _, stored in self._inner.scan(batch_size):
            if not key_id(stored):
                return True
        for name in await self._states():
            value = await self._inner.get_state(name)
            if value is not None and not is_sealed(value):
                return True
        return False

    async def _states(self) -> list[str]:
        """Return the names of the states to encrypt: all but those that are always in clear."""
        return [name for name in await self._inner.list_states() if name != KEYS_STATE and not name.startswith(NOTES)]

    async def _entry(self, place: str, stored: CacheEntry) -> bool:
        """Encrypt an entry with the first key, if it is not; return whether it was done."""
        first, id = self._sealer.keys[0], key_id(stored)
        if id == first.id:
            return False
        if not id and not self._plain:
            self._left += 1
            return False
        opened = (place, stored) if not id else await self._sealer.opened(place, stored)
        if opened is None:
            return False
        name, entry = opened
        target = stored_key(first, name)
        (present,) = await self._inner.get_many([target], touch=False)
        if present is None:  # else a newer one was stored meanwhile
            await self._inner.set(target, await self._sealer.sealed(name, entry))
        there = await self._inner.delete_stored(place, stored.created_at)
        if present is None and not there:  # it was deleted after it was read, and must not come back
            await self._inner.delete_stored(target, entry.created_at)
        return there

    async def _state(self, name: str) -> bool:
        """Encrypt a named state with the first key, if it is not; return whether it was done."""
        value = await self._inner.get_state(name)
        if value is None or value.startswith(blob_mark(self._sealer.keys[0])):
            return False
        opened = self._sealer.opened_state(name, value)
        if opened is None and (not self._plain or is_sealed(value)):
            return False
        await self._inner.set_state(name, self._sealer.sealed_state(name, value if opened is None else opened))
        return True
