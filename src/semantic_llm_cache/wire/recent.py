"""Requests read recently: one that comes again with the same bytes need not be parsed again."""

from __future__ import annotations

import os
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

__all__ = ["Recent"]

_LONGEST = 8192
"""Bytes of a body. Longer ones are parsed each time, so that the table stays small."""


class Recent:
    """A small table from the bytes of requests to what was parsed from them.

    A request's place is a keyed hash of it, so that no credential is held. There are two generations instead of an
    order of use, which would need a lock.

    Args:
        most: requests of one generation; up to twice as many are held.

    Example:
        >>> recent = Recent()
        >>> place = recent.place(["http://host/v1"], b"{}")
        >>> recent.put(place, 7)
        >>> recent.get(recent.place(["http://host/v1"], b"{}"))
        7
    """

    def __init__(self, most: int = 1024) -> None:
        self._most = most
        self._salt = os.urandom(16)
        self._young: dict[bytes, Any] = {}
        self._old: dict[bytes, Any] = {}

    def place(self, parts: Iterable[str], body: bytes) -> bytes | None:
        """Return the place of a request; None for one that is too long to be held.

        Args:
            parts: all that counts beside the body.
            body: as it came.
        """
        if len(body) > _LONGEST:
            return None
        # With their number and lengths, so that no two lists of parts give the same bytes.
        encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
        data = b"".join((b"%d:" % len(encoded), *(b"%d:" % len(part) for part in encoded), *encoded, body))
        return blake2b(data, digest_size=20, key=self._salt).digest()

    def get(self, place: bytes | None) -> Any:
        """Return what was put at a place, or None."""
        if place is None:
            return None
        found = self._young.get(place)
        if found is None:
            found = self._old.get(place)
            if found is not None:
                self.put(place, found)
        return found

    def put(self, place: bytes | None, value: Any) -> None:
        """Hold a value, not None."""
        if place is None:
            return
        if len(self._young) >= self._most:
            self._old, self._young = self._young, {}
        self._young[place] = value
