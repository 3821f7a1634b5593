"""Entries that cannot be read: they are skipped, and logged in few lines even when they are many."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from typing import Any

from semantic_llm_cache.runtime.fork import fork_safe_lock

__all__ = ["DamageLog"]

logger = logging.getLogger("semantic_llm_cache")

_EVERY = 60.0
_REMEMBERED = 10_000
_SHOWN = 64  # characters of a key: those of the engine are shorter


class DamageLog:
    """Counts damaged entries and logs them, each once, together in one line a minute.

    Args:
        place: of the cache, without credentials.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._known: set[Any] = set()
        self._waiting: list[tuple[str, str]] = []  # the first one; of the rest only how many
        self._count = self._held = 0
        self._next = 0.0
        self._lock = fork_safe_lock()

    def note(self, id: Any, key: str, damage: str) -> None:
        """Note a damaged entry; `tell` logs it."""
        with self._lock:
            if id in self._known:
                return
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known.add(id)
            self._count += 1
            if not self._waiting:
                self._waiting.append((key[:_SHOWN], damage))

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Log everything noted inside in one line, at the end."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            self.tell(at_once=True)

    def tell(self, *, at_once: bool = False) -> None:
        """Log what was noted since the last line; once a minute at most, unless `at_once`."""
        if not self._count or (self._held and not at_once):
            return
        with self._lock:
            now = time.monotonic()
            if not self._count or (now < self._next and not at_once):
                return
            count, self._count = self._count, 0
            (key, damage), self._waiting = self._waiting[0], []
            self._next = now + _EVERY
        which = (
            "the entry under key %r is" if count == 1 else f"{count:,} entries, among them the one under key %r, are"
        )
        logger.warning(
            f"semantic-llm-cache: %s: {which} damaged and left out (%s). Such an entry is replaced when its prompt is "
            "asked again; or delete it",
            self._place, key, damage,
        )  # fmt: skip

    def clear(self) -> None:
        """Forget what was noted: the entries have been replaced."""
        with self._lock:
            self._known.clear()
            self._waiting, self._count = [], 0
