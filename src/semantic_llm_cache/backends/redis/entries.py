"""Names of keys, and entries to the fields of a Redis hash and back.

An entry is one hash, under a key that holds only the entry's own key:

=====  ====================================================================================
``d``  version, lengths and checksum; then prompt and the rest as JSON; then the answer
``v``  the unit vector as little-endian float32, if there is one
``x``  wall time in milliseconds at which it expires, empty for never
``p``  digest of scope, embedder and dimension: where the vector belongs
``s``  digest of the scope
``n``  digest of the namespace
``h``  hits until it was stored, ``a`` time of the last one; later hits are counted in a key of their own
=====  ====================================================================================
"""

from __future__ import annotations

import binascii
import hashlib
import json
import math
import struct
import zlib
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from semantic_llm_cache.config import SCHEMA_VERSION, CacheEntry
from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.similarity.base import Vector, unit
from semantic_llm_cache.values.encoding import dumps, loads
from semantic_llm_cache.values.odd_text import escape, unescape

__all__ = [
    "LAYOUT", "Damage", "Names", "Row", "decode", "digest", "encode", "place_of", "read_vector", "slot_of",
    "split_place", "to_bytes", "to_text",
]  # fmt: skip

LAYOUT = "1"
"""Version of the layout of the keys: a process of another version neither sees nor harms our keys."""

_HEAD = struct.Struct("<2sBxIII")  # mark, version, checksum, length of the JSON, length of the answer
_MARK = b"sc"
_VERSION = 1
_FOREVER_MS = 1 << 52
_GRACE_MS = 600_000
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode  # json.dumps would make one each time
_from_json = json.JSONDecoder().raw_decode  # `decode` looks for white space on both sides, too


class Damage(Exception):
    """What is stored under a key cannot be read."""


class Row(NamedTuple):
    """An entry as it is sent to the server."""

    key: bytes
    data: bytes
    vector: bytes
    expires: bytes
    milliseconds: int  # to live from now, 0 for no limit, negative when expired
    place: str
    scope: str
    namespace: str
    hits: int
    accessed: bytes


def to_bytes(name: str) -> bytes:
    """Return a key or name as the server gets it: UTF-8 without U+0000, at which the search module cuts names off."""
    return escape(name, nul=True).encode()


def to_text(name: bytes) -> str:
    """Undo `to_bytes`. Bytes of another program that are no UTF-8 are replaced."""
    return unescape(name.decode("utf-8", "replace"))


@lru_cache(maxsize=4096)
def digest(*parts: str) -> str:
    """Return 32 hex digits that stand for some texts."""
    hasher = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        hasher.update(b"%d:" % len(data))
        hasher.update(data)
    return hasher.hexdigest()


def place_of(scope: str, embedder: str, dimension: int) -> str:
    """Return the name of the set of vectors that may be compared: scope, embedder and dimension, digested."""
    return f"{digest(scope)}e{digest(embedder)[:16]}d{dimension}"  # letters and digits: also a TAG


def split_place(place: str) -> tuple[str, str]:
    """Return the two parts of a place: the digest of the scope; embedder and dimension."""
    return place[:32], place[33:]


def encode(key: str, entry: CacheEntry, now: float, *, injected: bool) -> Row:
    """Return the row of an entry.

    Args:
        now: wall time by the backend's clock, from which the time to live is counted.
        injected: the clock is not the system's, so that the server's own expiry is set later and only
            removes what is no longer visible.

    Raises:
        ValueError: a zero or non-finite vector.
        CacheSerializationError: an answer that has no stored form.
    """
    vector = b"" if entry.embedding is None else unit(entry.embedding).astype("<f4", copy=False).tobytes()
    answer = dumps(entry.response)
    fields = [
        entry.prompt, entry.created_at, entry.ttl, entry.namespace, entry.input_tokens, entry.output_tokens,
        entry.scope, entry.embedder, entry.kind, list(entry.tags), list(entry.aliases), entry.duration_ms,
        entry.cost_usd, entry.schema_version,
    ]  # fmt: skip
    try:
        head = escape(_to_json(fields)).encode()
        body = answer.encode()
        key_bytes = to_bytes(key)
    except (UnicodeEncodeError, TypeError) as error:
        raise CacheSerializationError(
            f"the entry holds something that cannot be stored ({type(error).__name__})"
        ) from error
    checksum = zlib.crc32(vector, zlib.crc32(body, zlib.crc32(head)))
    expires, left = b"", 0
    if entry.ttl is not None:
        end = entry.created_at + entry.ttl
        left = _milliseconds(end - now) or -1
        if left >= _FOREVER_MS:
            left = 0
        elif left > 0 and injected:
            left += _GRACE_MS
        expires = b"%d" % math.ceil(max(-9e15, min(9e15, end * 1000.0)))  # up: nothing is over too early
    return Row(
        key_bytes,
        _HEAD.pack(_MARK, _VERSION, checksum, len(head), len(body)) + head + body,
        vector,
        expires,
        left,
        place_of(entry.scope, entry.embedder, len(vector) // 4) if vector else "",
        digest(entry.scope),
        digest(entry.namespace),
        entry.hit_count,
        b"" if entry.last_accessed is None else repr(float(entry.last_accessed)).encode(),
    )


def decode(data: Any, vector: Any, hits: Any, accessed: Any) -> CacheEntry | None:
    """Return the entry of a hash's fields ``d v h a``; None for one of another version. Raises Damage."""
    try:
        mark, version, checksum, head_length, body_length = _HEAD.unpack_from(data)
        if mark != _MARK:
            raise Damage("not written by this package")
        if version != _VERSION:
            return None
        start = _HEAD.size
        middle = start + head_length
        if len(data) != middle + body_length or zlib.crc32(vector or b"", zlib.crc32(data[start:])) != checksum:
            raise Damage("its checksum is wrong")
        head = data[start:middle].decode()
        head = unescape(head)
        fields, end = _from_json(head)
        if end != len(head):
            raise Damage("its fields are followed by something else")
        (prompt, created_at, ttl, namespace, tokens_in, tokens_out, scope, embedder, kind, tags, aliases, duration,
         cost, schema) = fields  # fmt: skip
        if schema != SCHEMA_VERSION:
            return None
        return CacheEntry(
            prompt,
            loads(data[middle:].decode()),
            read_vector(vector) if vector else None,
            created_at,
            ttl,
            namespace,
            int(hits or 0),
            tokens_in,
            tokens_out,
            float(accessed) if accessed else None,
            scope,
            embedder,
            kind,
            tuple(tags),
            tuple(aliases),
            duration,
            cost,
            schema,
        )
    except Damage:
        raise
    except CacheSerializationError as error:
        raise Damage(str(error)) from error
    except (struct.error, ValueError, TypeError) as error:  # which may quote what is stored
        raise Damage(f"{type(error).__name__}: it cannot be read") from error


def read_vector(raw: bytes) -> Vector:
    """Return a vector of its own from little-endian float32."""
    return np.frombuffer(raw, dtype="<f4").astype(np.float32)


def _milliseconds(seconds: float) -> int:
    return int(max(-9e15, min(9e15, seconds * 1000.0)))


class Names:
    """The names of all keys under a prefix.

    Keys of entries carry a hash tag, so that a script may touch an entry and its vectors in one slot of a
    cluster. Which of the `shards` tags it is follows from the entry's own key: that is all that an exact
    lookup knows. The tags are chosen so that they spread evenly over the slots.

    Args:
        prefix: of every key.
        letter: of the way the vectors are kept; each has its own keys.
        shards: how many tags.
    """

    def __init__(self, prefix: str, letter: str, shards: int) -> None:
        self.shards = shards
        self.base = to_bytes(f"{prefix}{LAYOUT}{letter}:")
        self.tags = _tags(shards)
        self._entries = [self.base + b"e:{%s}" % tag for tag in self.tags]
        self._hits = [self.base + b"h:{%s}" % tag for tag in self.tags]

    def shard(self, key: bytes) -> int:
        """Return the number of a key's shard."""
        return zlib.crc32(key) % self.shards if self.shards > 1 else 0

    def entry(self, key: bytes) -> bytes:
        """Return where an entry is."""
        return self._entries[self.shard(key)] + key

    def entries(self, shard: int) -> bytes:
        """Return what the entries of a shard begin with."""
        return self._entries[shard]

    def hits(self, shard: int) -> bytes:
        """Return what the separate counts of hits of a shard begin with."""
        return self._hits[shard]

    def text(self, namespace: str, key: bytes) -> bytes:
        """Return where the vector of a text is, by its namespace's digest and its own, 20 bytes."""
        return self.other("v", self.shard(key), namespace) + key.hex().encode()

    def texts(self, namespace: str | None) -> bytes:
        """Return the glob that the keys of all vectors of texts match, or those of a namespace, by its digest."""
        return _literal(self.base + b"v:{") + b"*}" + (b"" if namespace is None else namespace.encode()) + b"*"

    def lease(self, key: bytes) -> bytes:
        """Return where the lease on an entry is: in the entry's slot."""
        return self.other("l", self.shard(key)) + key

    @property
    def freed(self) -> bytes:
        """Return the channel for messages about leases that are given back."""
        return self.base + b"freed"

    def other(self, kind: str, shard: int, name: str = "") -> bytes:
        """Return the name of something else that belongs to a shard."""
        return self.base + b"%s:{%s}%s" % (kind.encode(), self.tags[shard], to_bytes(name))

    @property
    def all_entries(self) -> bytes:
        """What the keys of all entries begin with."""
        return self.base + b"e:"

    def pattern(self) -> bytes:
        """Return the glob that the keys of all entries match."""
        return _literal(self.all_entries) + b"{*"

    def key(self, name: bytes) -> bytes | None:
        """Return the entry's own key from the name of its Redis key; None for another name."""
        rest = name[len(self.base) + 2 :]
        end = rest.find(b"}")
        if not name.startswith(self.all_entries) or end < 0:
            return None
        key = rest[end + 1 :]
        return key if self.entry(key) == name else None


def _literal(name: bytes) -> bytes:
    """Return the glob that a name alone matches."""
    return b"".join(b"\\" + bytes([c]) if c in b"*?[]\\^-" else bytes([c]) for c in name)


def slot_of(tag: bytes) -> int:
    """Return the slot of a cluster, 0 to 16383, that a hash tag falls into: its CRC-16 (XMODEM) modulo 16384."""
    return binascii.crc_hqx(tag, 0) % 16384


@lru_cache(maxsize=64)
def _tags(shards: int) -> tuple[bytes, ...]:
    """Return for each of `shards` equal ranges of slots a tag that falls into it."""
    tags: list[bytes | None] = [None] * shards
    number = 0
    missing = shards
    while missing:
        tag = b"%d" % number
        place = slot_of(tag) * shards // 16384
        if tags[place] is None:
            tags[place] = tag
            missing -= 1
        number += 1
    return tuple(tag for tag in tags if tag is not None)
