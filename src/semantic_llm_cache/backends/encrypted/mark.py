"""The mark in a storage: with which keys it is encrypted, and in which form its vectors are."""

from __future__ import annotations

import json
from typing import get_args

from semantic_llm_cache.backends.encrypted.sealer import Sealer, Vectors
from semantic_llm_cache.exceptions import EncryptionKeyError
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.registry import KEY_VARIABLE, KEYS_STATE

__all__ = ["Mark"]


class Mark:
    """Reads the mark of a storage before the first read, and writes it before the first write.

    Args:
        inner: the storage.
        sealer: gives the keys; takes the form of the vectors that the storage has.
        chosen: True where the program says in which form vectors are stored, whatever the mark says.
    """

    def __init__(self, inner: StorageBackend, sealer: Sealer, *, chosen: bool) -> None:
        self._inner = inner
        self._sealer = sealer
        self._chosen = chosen
        self._verified = self._announced = False

    async def is_there(self) -> bool:
        """Return whether the storage has the mark."""
        return await self._inner.get_state(KEYS_STATE) is not None

    async def verify(self) -> None:
        """Check once that the storage was encrypted with one of the keys, if with any. Raises EncryptionKeyError."""
        if not self._verified:
            self._known(await self._inner.get_state(KEYS_STATE))
            self._verified = True

    async def announce(self) -> None:
        """Note once, before the first write, that the storage is encrypted with the first key."""
        if not self._announced:
            noted = await self._inner.get_state(KEYS_STATE)
            own = self._sealer.keys[0].id
            value = self._note([own, *(id for id in self._known(noted) if id != own)])
            if value != noted:
                await self._inner.set_state(KEYS_STATE, value)
                self._inner.key_checked = False  # by caches of this process that use the storage without a key
            self._verified = self._announced = True

    async def forget_others(self) -> None:
        """Note that no entry is encrypted with another key than the first; for after a change of keys."""
        await self._inner.set_state(KEYS_STATE, self._note([self._sealer.keys[0].id]))

    def _known(self, value: bytes | None) -> list[str]:
        """Return the ids of the keys that the storage was encrypted with. Raises EncryptionKeyError for others."""
        try:
            noted = json.loads(value or b"{}")
            ids, vectors = [str(each) for each in noted.get("keys", ())], noted.get("vectors")
        except (ValueError, TypeError, AttributeError):
            ids, vectors = [], None  # damaged: it is written again
        own = self._sealer.by_id
        if ids and not own.keys() & set(ids):
            raise EncryptionKeyError(
                f"{self._inner.url} is encrypted with another key (id {', '.join(ids)}; given: "
                f"{', '.join(own)}): pass that one too, as in encryption_key=[new, old], or set "
                f"{KEY_VARIABLE}=new,old"
            )
        if not self._chosen and vectors in get_args(Vectors):
            self._sealer.vectors = vectors
        return ids

    def _note(self, ids: list[str]) -> bytes:
        return json.dumps({"keys": ids, "vectors": self._sealer.vectors}).encode()
