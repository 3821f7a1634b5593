"""The mark in a storage: with which keys it is encrypted, and in which form its vectors are.

Whoever can write to the storage can remove or damage it. The form of the vectors counts only with a proof that
somebody with one of the keys has chosen it: else an altered mark would have programs store vectors in clear.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, get_args

from semantic_llm_cache.backends.encrypted.sealer import Sealer, Vectors
from semantic_llm_cache.exceptions import EncryptionKeyError
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.registry import KEY_VARIABLE, KEYS_STATE

__all__ = ["Mark"]

_ID = re.compile("[0-9a-f]{16}")


class _Noted(NamedTuple):
    """What a mark says.

    Attributes:
        ids: of the keys that the storage was encrypted with, the newest first.
        vectors: in which form vectors are stored.
        proofs: by id of a key, the keyed hash of that form.
    """

    ids: list[str]
    vectors: str
    proofs: Mapping[str, str]


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
            there = await self._inner.get_state(KEYS_STATE)
            noted = self._known(there)
            own = self._sealer.keys[0].id
            value = self._note([own, *(id for id in noted.ids if id != own)], noted)
            if value != there:
                await self._inner.set_state(KEYS_STATE, value)
                self._inner.key_checked = False  # by caches of this process that use the storage without a key
            self._verified = self._announced = True

    async def forget_others(self) -> None:
        """Note that no entry is encrypted with another key than the first; for after a change of keys."""
        await self._inner.set_state(KEYS_STATE, self._note([self._sealer.keys[0].id], _NOTHING))

    def _known(self, value: bytes | None) -> _Noted:
        """Return what the mark says, and use vectors as it says. Raises EncryptionKeyError for other keys."""
        noted = _read(value)
        own = self._sealer.by_id
        if noted.ids and not own.keys() & set(noted.ids):
            raise EncryptionKeyError(
                f"{self._inner.url} is encrypted with another key (id {', '.join(noted.ids)}; given: "
                f"{', '.join(own)}): pass that key; while keys are changed pass both, as in "
                f"encryption_key=[new, old] or {KEY_VARIABLE}=new,old"
            )
        if not self._chosen and self._is_proven(noted):
            self._sealer.vectors = noted.vectors  # type: ignore[assignment]  # one of them: see `_read`
        return noted

    def _is_proven(self, noted: _Noted) -> bool:
        return any(
            hmac.compare_digest(key.name("vectors", noted.vectors), noted.proofs.get(key.id, ""))
            for key in self._sealer.keys
        )

    def _note(self, ids: list[str], before: _Noted) -> bytes:
        vectors = self._sealer.vectors
        proofs = {key.id: key.name("vectors", vectors) for key in self._sealer.keys if key.id in ids}
        if before.vectors == vectors:  # those of keys that are not known here
            proofs = {id: proof for id, proof in before.proofs.items() if id in ids} | proofs
        return json.dumps({"keys": ids, "vectors": vectors, "proofs": dict(sorted(proofs.items()))}).encode()


_NOTHING = _Noted([], "", {})


def _read(value: bytes | None) -> _Noted:
    """Return what a mark says; nothing where it is damaged, so that it is written again."""
    try:
        noted = json.loads(value or b"{}")
        ids, vectors, proofs = (noted.get(name) for name in ("keys", "vectors", "proofs"))
    except (ValueError, AttributeError, RecursionError):
        return _NOTHING
    return _Noted(
        [id for id in ids if _is_id(id)] if isinstance(ids, list) else [],
        vectors if isinstance(vectors, str) and vectors in get_args(Vectors) else "",
        {id: proof for id, proof in proofs.items() if _is_proof(id, proof)} if isinstance(proofs, dict) else {},
    )


def _is_id(id: Any) -> bool:
    return isinstance(id, str) and _ID.fullmatch(id) is not None


def _is_proof(id: Any, proof: Any) -> bool:
    return _is_id(id) and isinstance(proof, str) and proof.isascii()
