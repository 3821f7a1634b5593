"""The front of the backend inside, by the keys that the engine uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from semantic_llm_cache.storage.front import Front

if TYPE_CHECKING:
    from semantic_llm_cache.config import CacheEntry

__all__ = ["KeyedFront"]


class KeyedFront(Front):
    """Keeps decrypted entries in another backend's front, which drops them as that backend changes.

    Args:
        inner: the front of the other backend.
        stored: returns the key there of a key here.
    """

    __slots__ = ("_inner", "_stored")

    def __init__(self, inner: Front, stored: Callable[[str], str]) -> None:
        super().__init__(0)
        self._inner = inner
        self._stored = stored

    def get(self, key: str) -> CacheEntry | None:
        """Return the decrypted entry under `key` if it was read a moment ago. It is shared: do not change it."""
        return self._inner.get(self._stored(key)) if self._inner.size else None

    @property
    def generation(self) -> int:
        """That of the inner front."""
        return self._inner.generation

    def put(self, key: str, entry: CacheEntry, generation: int) -> None:
        """Keep a decrypted entry that was just read, unless something was written since `generation`."""
        self._inner.put(self._stored(key), entry, generation)

    def drop(self, key: str | None = None) -> None:
        """Forget one entry, or all of them."""
        self._inner.drop(None if key is None else self._stored(key))
