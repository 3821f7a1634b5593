"""A small cache in front of a persistent backend, so that a repeated exact hit leaves the process alone.

What this process writes or deletes is seen at once. What another process does is seen after `seconds` at
the latest: that is the price, and it can be set, also to none.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from semantic_llm_cache.serialization import Encoded, freeze

if TYPE_CHECKING:
    from semantic_llm_cache.config import CacheEntry

__all__ = ["Front"]

_MOST_CHARACTERS = 64 * 1024


class Front:
    """The entries found by key in the last moments.

    Args:
        size: most entries; the least recently used go first. 0 turns the front off.
        seconds: how long an entry is served before the backend is asked again; 0 turns the front off.

    Raises:
        ValueError: a negative value.
    """

    __slots__ = ("_entries", "_generation", "seconds", "size")

    def __init__(self, size: int = 1024, seconds: float = 1.0) -> None:
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise ValueError(f"front_size={size!r} must be a number of entries, 0 for no front")
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds >= 0:
            raise ValueError(f"front_seconds={seconds!r} must be seconds, 0 for no front")
        self.size = size if seconds > 0 else 0
        self.seconds = float(seconds)
        self._entries: OrderedDict[str, tuple[CacheEntry, float]] = OrderedDict()
        self._generation = 0

    def get(self, key: str) -> CacheEntry | None:
        """Return the entry under `key` if it was read lately. It is shared: do not change it."""
        found = self._entries.get(key)
        if found is None:
            return None
        if time.monotonic() > found[1]:
            self._entries.pop(key, None)
            return None
        return found[0]

    @property
    def generation(self) -> int:
        """Changes with every write: a read that began under another one may be out of date."""
        return self._generation

    def put(self, key: str, entry: CacheEntry, generation: int) -> None:
        """Keep an entry that was just read, unless something was written since `generation`."""
        if not self.size or generation != self._generation:
            return
        response = freeze(entry.response)
        length = (
            len(response.text)
            if type(response) is Encoded
            else len(response)
            if isinstance(response, (str, bytes))
            else 0
        )
        if length > _MOST_CHARACTERS:
            return
        entry.response, entry.embedding = response, None
        self._entries[key] = (entry, time.monotonic() + self.seconds)
        while len(self._entries) > self.size:
            try:
                self._entries.popitem(last=False)
            except KeyError:  # another thread has emptied it
                return

    def drop(self, key: str | None = None) -> None:
        """Forget one entry, or all of them: called before and after whatever writes."""
        self._generation += 1
        if key is None:
            self._entries.clear()
        else:
            self._entries.pop(key, None)

    def __len__(self) -> int:
        return len(self._entries)
