"""The id of a call: text that leads any process on the same backend to the entry that holds its answer.

An id holds the entry's key, the time at which the entry was stored, and random bits that make it unique. It holds no
prompt and no secret: the key is a hash. The time tells an entry from a newer one under the same key.

    "lk_" + base64url( flags, 7 random bytes [, time (8 bytes), key], 2 bytes of checksum )
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import struct
from typing import NamedTuple

__all__ = ["CallId", "Place", "looks_like_id", "new_id", "read_id"]

_PREFIX = "lk_"
_FORM = 0x10
_NEAR, _HAS_ENTRY, _HASHED = 1, 2, 4
_RANDOM, _CHECK = 7, 2
_TIME = struct.Struct(">d")
# Compiled when first used, by `re` itself: compiling at import would cost every start.
_KEY = r"([1-9]\d{0,2}):([0-9a-f]{40})"
"""The keys of `Request`: the version of their form, and a digest of 20 bytes."""


class Place(NamedTuple):
    """Which entry holds an answer.

    Attributes:
        key: the entry's key.
        stored_at: when it was stored, in wall seconds (`CacheEntry.created_at`).
    """

    key: str
    stored_at: float

    def holds(self, created_at: float) -> bool:
        """Return whether an entry under this key that was stored at `created_at` is the one."""
        return _TIME.pack(created_at) == _TIME.pack(self.stored_at)


class CallId(NamedTuple):
    """What an id says.

    Attributes:
        near: whether the call was a near hit.
        place: the entry that holds its answer; None if there is none.
    """

    near: bool
    place: Place | None


def new_id(near: bool, place: Place | None) -> str:
    """Return a new id. Two calls never get the same one."""
    flags, parts = _FORM | (_NEAR if near else 0), [os.urandom(_RANDOM)]
    if place is not None:
        flags |= _HAS_ENTRY
        parts.append(_TIME.pack(place.stored_at))
        known = re.fullmatch(_KEY, place.key)
        if known is not None and int(known[1]) < 256:
            flags |= _HASHED
            parts.append(bytes([int(known[1])]) + bytes.fromhex(known[2]))
        else:
            parts.append(place.key.encode("utf-8", "surrogatepass"))
    data = bytes([flags]) + b"".join(parts)
    return _PREFIX + base64.urlsafe_b64encode(data + _check(data)).decode().rstrip("=")


def looks_like_id(text: str) -> bool:
    """Return whether a text begins as ids do. It may be damaged."""
    return text.startswith(_PREFIX)


def read_id(text: str) -> CallId:
    """Return what an id says.

    Raises:
        ValueError: it is no id of a call, or is damaged.

    Example:
        >>> read_id(new_id(True, Place("a key", 12.5)))
        CallId(near=True, place=Place(key='a key', stored_at=12.5))
    """
    try:
        encoded = text.removeprefix(_PREFIX).encode("ascii")
        # Strict, so that no two texts are the same id.
        data = base64.b64decode(encoded + b"=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        if not looks_like_id(text) or base64.urlsafe_b64encode(data).rstrip(b"=") != encoded:
            raise ValueError
        data, check = data[:-_CHECK], data[-_CHECK:]
        if check != _check(data) or data[0] & ~7 != _FORM:
            raise ValueError
        return CallId(bool(data[0] & _NEAR), _place(data[0], data[1 + _RANDOM :]))
    except (ValueError, IndexError, struct.error, binascii.Error):
        raise ValueError(
            f"lookup={text[:80]!r} is not the id of a call: pass all of Lookup.id, or the key of an entry"
        ) from None


def _place(flags: int, rest: bytes) -> Place | None:
    if not flags & _HAS_ENTRY:
        if rest:
            raise ValueError
        return None
    (stored_at,), key = _TIME.unpack(rest[: _TIME.size]), rest[_TIME.size :]
    if not flags & _HASHED:
        return Place(key.decode("utf-8", "surrogatepass"), stored_at)
    if len(key) != 21:
        raise ValueError
    return Place(f"{key[0]}:{key[1:].hex()}", stored_at)


def _check(data: bytes) -> bytes:
    import hashlib

    return hashlib.blake2b(data, digest_size=_CHECK).digest()
