"""`Sealer`: entries, names and vectors to their encrypted form and back, with several keys."""

from __future__ import annotations

from typing import Any, Literal

from semantic_llm_cache.backends.damage import DamageLog
from semantic_llm_cache.backends.encrypted.keys import Key
from semantic_llm_cache.backends.encrypted.rotation import Rotation
from semantic_llm_cache.backends.encrypted.sealing import (
    Damage,
    key_id,
    open_bytes,
    open_entry,
    seal_bytes,
    seal_entry,
    stored_key,
    token_size,
)
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.similarity.base import Vector, unit
from semantic_llm_cache.storage.records import Text
from semantic_llm_cache.values.offload import LONG, is_large, off_loop

__all__ = ["Sealer", "Vectors"]

Vectors = Literal["rotated", "clear", "none"]
"""In which form vectors are stored."""


class Sealer:
    """Encrypts with the first of its keys, and decrypts with any.

    Args:
        keys: at least one.
        vectors: in which form vectors are stored; may change when the storage says what it was used with.
        damage: reports what cannot be decrypted.
    """

    def __init__(self, keys: tuple[Key, ...], vectors: Vectors, damage: DamageLog) -> None:
        self.keys = keys
        self.by_id = {key.id: key for key in keys}
        self.vectors = vectors
        self.damage = damage
        self._rotations = {key.id: Rotation(key.vectors) for key in keys}

    def names(self, name: str) -> list[str]:
        """Return the keys in the storage that an entry may have, the one for new entries first."""
        return [stored_key(key, name) for key in self.keys]

    # ------------------------------------------------------------------------------ vectors

    def vector_name(self, key: Key, embedder: str) -> str:
        """Return the embedder's name in the storage: vectors of other keys or forms are never compared."""
        return f"{embedder}+{key.id}" if self.vectors == "rotated" else embedder

    async def hidden(self, key: Key, vector: Any) -> Vector:
        """Return a vector as it is stored."""
        found = unit(vector)
        if self.vectors != "rotated":
            return found
        rotation = self._rotations[key.id]
        return rotation.apply(found) if rotation.is_made(len(found)) else await off_loop(rotation.apply, found)

    async def shown(self, key: Key, vector: Vector) -> Vector:
        """Return the vector that was rotated."""
        rotation = self._rotations[key.id]
        return rotation.undo(vector) if rotation.is_made(len(vector)) else await off_loop(rotation.undo, vector)

    def text(self, key: Key, text: Text) -> Text:
        """Return what stands for a text in the storage."""
        hashed = key.name("text", f"{text.scope}\0{text.text}")
        return Text(text.namespace, key.name("scope", text.scope), self.vector_name(key, text.embedder), hashed)

    # ------------------------------------------------------------------------------ entries and states

    async def sealed(self, name: str, entry: CacheEntry) -> CacheEntry:
        """Return the entry to store. CacheSerializationError for an answer without a stored form."""
        key, value = self.keys[0], entry.response
        large = is_large(value) or (isinstance(value, (str, bytes)) and len(value) > LONG)
        made = await off_loop(seal_entry, key, name, entry) if large else seal_entry(key, name, entry)
        if made.embedding is not None:
            kept = self.vectors != "none"
            made.embedding = await self.hidden(key, made.embedding) if kept else None
            made.embedder = self.vector_name(key, made.embedder) if kept else ""
        return made

    async def opened(self, place: str, stored: CacheEntry | None) -> tuple[str, CacheEntry] | None:
        """Return key and entry of what is stored; None for what cannot be opened, which is noted."""
        if stored is None:
            return None
        key = self.by_id.get(key_id(stored))
        try:
            if key is None:
                raise Damage(_unknown(key_id(stored)))
            if token_size(stored) > LONG:
                name, entry = await off_loop(open_entry, key, place, stored)
            else:
                name, entry = open_entry(key, place, stored)
        except Damage as damage:
            self.damage.note((place, stored.created_at), place, str(damage))
            self.damage.tell()
            return None
        suffix = f"+{key.id}"
        if entry.embedding is not None and entry.embedder.endswith(suffix):
            entry.embedder = entry.embedder[: -len(suffix)]
            entry.embedding = await self.shown(key, entry.embedding)
        return name, entry

    async def entry(self, place: str, stored: CacheEntry | None) -> CacheEntry | None:
        """Return the entry of what is stored; None for what cannot be opened, which is noted."""
        opened = await self.opened(place, stored)
        return None if opened is None else opened[1]

    def sealed_state(self, name: str, value: bytes) -> bytes:
        """Return a named blob as it is stored."""
        return seal_bytes(self.keys[0], name, value)

    def opened_state(self, name: str, stored: bytes) -> bytes | None:
        """Return a named blob; None for what cannot be opened, which is noted."""
        try:
            return open_bytes(self.keys, name, stored)
        except Damage as damage:
            self.damage.note(("state", name), name, str(damage))
            self.damage.tell()
            return None


def _unknown(id: str) -> str:
    return f"it is encrypted with another key, id {id!r}" if id else "it is not encrypted"
