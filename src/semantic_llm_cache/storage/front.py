"""A small cache in front of a persistent backend, so that a repeated exact hit needs no round trip.

Writes and deletions by this process are noticed at once. Changes by another process are noticed within a moment
where the backend listens for them. Where it does not, or cannot at the moment, they are noticed after `seconds` at
the latest. `seconds` can be set; 0 turns the front off.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from semantic_llm_cache.arguments import check_number, shown
from semantic_llm_cache.values.encoding import Encoded, freeze

if TYPE_CHECKING:
    from semantic_llm_cache.config import CacheEntry

__all__ = ["LISTEN_FROM", "Front"]

_MOST_CHARACTERS = 64 * 1024
_MOST_TOLD = 4096

LISTEN_FROM = 2.0
"""With a front that may be out of date for more seconds than this, the backend listens for changes by others.

Below it, the time limit alone is good enough, and not worth another connection.
"""


class Front:
    """Entries just found by key.

    Args:
        size: most entries; the least recently used go first. 0 turns the front off.
        seconds: how long an entry is served before the backend is asked again; 0 turns the front off.

    Raises:
        ValueError: a negative value.
    """

    __slots__ = (
        "__weakref__", "_entries", "_floor", "_generation", "_names", "_told", "listen", "listening", "name_of",
        "seconds", "size",
    )  # fmt: skip

    def __init__(self, size: int = 1024, seconds: float = 1.0) -> None:
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise ValueError(f"front_size={shown(size)} must be a number of entries, 0 for no front")
        if seconds != math.inf:
            seconds = check_number(seconds, "front_seconds", "seconds, 0 for no front", least=0)
        self.size = size if seconds > 0 else 0
        self.seconds = float(seconds)
        self._entries: OrderedDict[str, tuple[CacheEntry, float]] = OrderedDict()
        self._generation = self._floor = 0
        self._told: dict[Hashable, int] = {}  # names of entries that others have changed, and when
        self.listen: Callable[[], None] | None = None
        """Called when there is something to listen for: an entry is kept and `listening` is False."""
        self.listening = False
        self.name_of: Callable[[str], Hashable] | None = None
        """Returns the name by which others report a key, where it is not the key itself."""
        self._names: dict[Hashable, str] = {}
        _all.add(self)

    @property
    def far_behind(self) -> bool:
        """True when an entry may be out of date for so long that the backend should listen."""
        return bool(self.size) and self.seconds > LISTEN_FROM

    def get(self, key: str) -> CacheEntry | None:
        """Return the entry under `key` if it was read a moment ago. It is shared: do not change it."""
        found = self._entries.get(key)
        if found is None:
            return None
        if time.monotonic() > found[1]:
            self._remove(key)
            return None
        return found[0]

    @property
    def generation(self) -> int:
        """Changes with every write: a read that began under another one may be out of date."""
        return self._generation

    def put(self, key: str, entry: CacheEntry, generation: int) -> None:
        """Keep an entry that was just read, unless something was written since `generation`."""
        if not self.size:
            return
        name = key if self.name_of is None else self.name_of(key)
        if generation < self._floor or generation < self._told.get(name, 0):
            return
        response = freeze(entry.response)
        if _length(response) > _MOST_CHARACTERS:
            return
        entry.response, entry.embedding = response, None
        if self.name_of is not None:
            self._names[name] = key
        self._entries[key] = (entry, time.monotonic() + self.seconds)
        if generation < self._floor or generation < self._told.get(name, 0):
            self._remove(key)  # reported by another thread in between
            return
        if self.listen is not None and not self.listening:
            self.listening = True
            self.listen()
        while len(self._entries) > self.size:
            try:
                old, _ = self._entries.popitem(last=False)
            except KeyError:  # another thread has emptied it
                return
            self._unname(old)

    def drop(self, key: str | None = None) -> None:
        """Forget one entry, or all of them: for `changing`, and when something may have changed unseen."""
        self._generation += 1
        self._floor = self._generation
        self._told.clear()
        if key is None:
            self._entries.clear()
            self._names.clear()
        else:
            self._remove(key)

    @contextlib.contextmanager
    def changing(self, keys: Sequence[str] | None = None) -> Iterator[None]:
        """`drop` these entries, or all of them, before and after what is done inside, also when that fails.

        Before, so that no old answer is served meanwhile. After, because a read may have brought an old one back.
        """
        self._drop_each(keys)
        try:
            yield
        finally:
            self._drop_each(keys)

    def _drop_each(self, keys: Sequence[str] | None) -> None:
        if keys is None:
            self.drop()
        else:
            for key in keys:
                self.drop(key)

    def told(self, names: Iterable[Hashable]) -> None:
        """Forget entries that others have changed, by the names that they report.

        Reads of other keys that are under way may still be kept. With many writers none would be kept otherwise.
        """
        self._generation += 1
        if len(self._told) > _MOST_TOLD:
            self._floor = self._generation
            self._told.clear()
        for name in names:
            self._told[name] = self._generation
            key = name if self.name_of is None else self._names.get(name)
            if isinstance(key, str):
                self._remove(key)

    def stale_reads(self) -> None:
        """Keep no result of a read that began before now; entries that are already kept stay."""
        self._generation += 1
        self._floor = self._generation

    def keys(self) -> list[str]:
        """Return the keys of the entries that are kept, after removing those that are too old."""
        now = time.monotonic()
        while True:
            try:
                held = list(self._entries.items())
                break
            except RuntimeError:  # another thread changed it in between
                continue
        for key, (_, until) in held:
            if now > until:
                self._remove(key)
        return [key for key, (_, until) in held if now <= until]

    def _remove(self, key: str) -> None:
        if self._entries.pop(key, None) is not None:
            self._unname(key)

    def _unname(self, key: str) -> None:
        if self.name_of is not None:
            self._names.pop(self.name_of(key), None)

    def reset_after_fork(self) -> None:
        """Forget all: a forked child has no listener yet, and the entries may have changed since."""
        self.drop()
        self.listening = False

    def __len__(self) -> int:
        return len(self._entries)


def _length(response: Any) -> int:
    if type(response) is Encoded:
        return len(response.text)
    return len(response) if isinstance(response, (str, bytes)) else 0


_all: weakref.WeakSet[Front] = weakref.WeakSet()


def _after_fork() -> None:
    for front in list(_all):
        front.reset_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
