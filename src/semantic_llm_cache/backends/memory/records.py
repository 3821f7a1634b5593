"""The entries of a `MemoryBackend`: those in use as objects, all others packed.

A garbage collection visits every object that can refer to others: with 100,000 entries as objects it would take
150 ms more. A packed entry is a tuple of two strings, an answer, a tuple shared with similar entries, and bytes,
which the collector soon stops tracking. The packed entries are kept in arrays that it does not visit.
"""

from __future__ import annotations

import struct
import threading
import weakref
from array import array
from collections import OrderedDict
from collections.abc import Callable
from math import isnan, nan
from sys import getsizeof
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from semantic_llm_cache.backends.eviction import Standing
from semantic_llm_cache.backends.memory.order import Draw, Line
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.similarity.base import Vector
from semantic_llm_cache.values.encoding import Encoded, freeze, thaw

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = [
    "Item", "Records", "Stored", "copy_of", "expiry_of", "id_of", "key_of", "standing_of", "stored_of",
    "view",
]  # fmt: skip

_HOT = 2048
"""How many entries are kept as objects at most."""

_SHARDS = 64  # dicts of keys: a dict of a million keys takes 40 ms to grow, one of these less than one
_BLOCK_BITS = 12
_BLOCK_MASK = (1 << _BLOCK_BITS) - 1
_SLOT_BITS = 32
_SLOT_MASK = (1 << _SLOT_BITS) - 1
_CHANCES = 16


class Stored(CacheEntry):
    """An entry in use: its response frozen, its vector in the index under `id`."""

    __slots__ = ("expires_at", "id", "key", "noted", "shared", "size")

    expires_at: float | None
    id: int
    key: str
    noted: int  # the hits when it was last looked at for packing
    shared: _Shared
    size: int


# namespace, scope, embedder, kind, tags, aliases, schema version: kept once for the many that have them in
# common. All are exact tuples, the only kind that the garbage collector stops tracking.
_Shared: TypeAlias = "tuple[str, str, str, str, tuple[str, ...], tuple[str, ...], int]"
# key, prompt, response or its encoded text, what it shares, numbers
_Packed: TypeAlias = "tuple[str, str, Any, _Shared, bytes | tuple[Any, ...]]"
Item: TypeAlias = "Stored | _Packed"

# id, created_at, ttl, last_accessed, duration_ms, cost_usd, hits, input and output tokens, size, is it encoded.
# NaN stands for None.
_NUMBERS = struct.Struct("<qdddddIIIQ?")
_TIMES = struct.Struct("<qdd")
_SIZE, _SIZE_AT = struct.Struct("<Q"), struct.calcsize("<qdddddIII")


def _pack(stored: Stored) -> _Packed:
    response = stored.response
    encoded = type(response) is Encoded
    numbers: Any = (
        stored.id,
        stored.created_at,
        nan if stored.ttl is None else stored.ttl,
        nan if stored.last_accessed is None else stored.last_accessed,
        stored.duration_ms,
        stored.cost_usd,
        stored.hit_count,
        stored.input_tokens,
        stored.output_tokens,
        stored.size,
        encoded,
    )
    try:
        numbers = _NUMBERS.pack(*numbers)
    except (struct.error, OverflowError):  # out of range: kept as it is
        pass
    return stored.key, stored.prompt, response.text if encoded else response, stored.shared, numbers


def _unpack(packed: _Packed) -> Stored:
    key, prompt, response, shared, numbers = packed
    id, created, ttl, accessed, duration, cost, hits, tokens_in, tokens_out, size, encoded = (
        numbers if isinstance(numbers, tuple) else _NUMBERS.unpack(numbers)
    )
    namespace, scope, embedder, kind, tags, aliases, version = shared
    stored = Stored(
        prompt,
        Encoded(response) if encoded else response,
        None,
        created,
        None if isnan(ttl) else ttl,
        namespace,
        hits,
        tokens_in,
        tokens_out,
        None if isnan(accessed) else accessed,
        scope,
        embedder,
        kind,
        tags,
        aliases,
        duration,
        cost,
        version,
    )
    stored.key, stored.id, stored.size, stored.shared, stored.noted = key, id, size, shared, hits
    stored.expires_at = None if stored.ttl is None else created + stored.ttl
    return stored


def key_of(item: Item) -> str:
    """Return an entry's key."""
    return item[0] if isinstance(item, tuple) else item.key


def id_of(item: Item) -> int:
    """Return an entry's id, which no other entry ever has."""
    if not isinstance(item, tuple):
        return item.id
    numbers = item[4]
    id: int = numbers[0] if isinstance(numbers, tuple) else _TIMES.unpack_from(numbers)[0]
    return id


def expiry_of(item: Item) -> float | None:
    """Return the wall time in seconds at which an entry's time is over, None for never."""
    if not isinstance(item, tuple):
        return item.expires_at
    numbers = item[4]
    _, created, ttl = numbers[:3] if isinstance(numbers, tuple) else _TIMES.unpack_from(numbers)
    return None if isnan(ttl) else created + ttl


def created_of(item: Item) -> float:
    """Return the wall time in seconds of an entry's store."""
    if not isinstance(item, tuple):
        return item.created_at
    numbers = item[4]
    created: float = numbers[1] if isinstance(numbers, tuple) else _TIMES.unpack_from(numbers)[1]
    return created


def namespace_of(item: Item) -> str:
    """Return an entry's namespace."""
    return item[3][0] if isinstance(item, tuple) else item.namespace


def prompt_and_tags(item: Item) -> tuple[str, tuple[str, ...]]:
    """Return an entry's prompt and its labels."""
    return (item[1], item[3][4]) if isinstance(item, tuple) else (item.prompt, item.tags)


def size_of(item: Item) -> int:
    """Return the bytes that an entry counts for."""
    if not isinstance(item, tuple):
        return item.size
    numbers = item[4]
    size: int = numbers[9] if isinstance(numbers, tuple) else _SIZE.unpack_from(numbers, _SIZE_AT)[0]
    return size


def standing_of(item: Item) -> Standing:
    """Return what an entry's score is computed from."""
    if not isinstance(item, tuple):
        last = item.last_accessed
        return Standing(
            item.hit_count, 0.0 if last is None else last, item.created_at, item.duration_ms, item.cost_usd, item.size
        )
    numbers = item[4]
    _, created, _, accessed, duration, cost, hits, _, _, size, _ = (
        numbers if isinstance(numbers, tuple) else _NUMBERS.unpack(numbers)
    )
    return Standing(hits, 0.0 if isnan(accessed) else accessed, created, duration, cost, size)


def view(item: Item) -> Stored:
    """Return an entry as an object, for reading only."""
    return _unpack(item) if isinstance(item, tuple) else item


def stored_of(key: str, entry: CacheEntry, vector_bytes: int) -> Stored:
    """Return an entry as it is kept, without an id yet."""
    stored = Stored(
        entry.prompt,
        freeze(entry.response),
        None,
        entry.created_at,
        entry.ttl,
        entry.namespace,
        entry.hit_count,
        entry.input_tokens,
        entry.output_tokens,
        entry.last_accessed,
        entry.scope,
        entry.embedder,
        entry.kind,
        tuple(entry.tags),
        tuple(entry.aliases),
        entry.duration_ms,
        entry.cost_usd,
        entry.schema_version,
    )
    stored.key = key
    stored.expires_at = None if entry.ttl is None else entry.created_at + entry.ttl
    stored.size = getsizeof(key) + getsizeof(stored.prompt) + _payload(stored.response) + vector_bytes
    return stored


def copy_of(item: Item, vector: Vector | None) -> CacheEntry:
    """Return an entry for the caller to keep, with its vector."""
    stored = view(item)
    return CacheEntry(
        stored.prompt,
        thaw(stored.response),
        vector,
        stored.created_at,
        stored.ttl,
        stored.namespace,
        stored.hit_count,
        stored.input_tokens,
        stored.output_tokens,
        stored.last_accessed,
        stored.scope,
        stored.embedder,
        stored.kind,
        stored.tags,
        stored.aliases,
        stored.duration_ms,
        stored.cost_usd,
        stored.schema_version,
    )


def _payload(value: Any) -> int:
    if type(value) is Encoded:
        return getsizeof(value.text)
    if type(value) is tuple:
        return getsizeof(value) + sum(map(_payload, value))
    return getsizeof(value)


class _Hot(OrderedDict[str, Stored]):
    """The entries in use by key; `hot[key]` fetches others, None for those that are not."""

    __slots__ = ("_records",)

    def __init__(self, records: Records) -> None:
        super().__init__()
        self._records = weakref.ref(records)  # no cycle: a forgotten backend's memory is free at once

    def __missing__(self, key: str) -> Stored | None:
        records = self._records()
        return None if records is None else records.fetch(key)


class Records:
    """Entries by key and by id, each in a slot of its own. An id tells its slot, and no id comes back.

    All methods but `find`, `at` and those that `peek` returns need `lock` held.

    Args:
        lock: guards all that changes.
        order: ``"used"`` keeps the exact order of use, for `oldest`; ``"drawn"`` lets `draw` draw at random;
            None does neither.
    """

    def __init__(self, lock: threading.Lock, order: str | None) -> None:
        self.lock = lock
        self.serial = 0
        self._order = order
        self._hot = _Hot(self)
        self._ids: tuple[dict[str, int], ...] = tuple({} for _ in range(_SHARDS))
        self._shared: dict[_Shared, _Shared] = {}
        self._uses: dict[_Shared, int] = {}
        self._reset()

    def _reset(self) -> None:
        self._count = 0
        self.slots = 0  # in use or free; all others have never been used
        self._free = array("I")
        self._blocks: list[npt.NDArray[np.object_]] = []
        # Slots of packed entries in order of use: each was used before all that are hot.
        self._line = Line() if self._order == "used" else None
        self._draw = Draw() if self._order == "drawn" else None

    def __len__(self) -> int:
        return self._count

    # ------------------------------------------------------------------ without the lock

    def peek(self) -> Callable[[str], Stored | None]:
        """Return a function that gives the object of an entry by key, and counts as its use.

        What is changed in the object (hits, time of access) stays.
        """
        if self._order != "used":
            return self._hot.__getitem__  # one C call, and no more, for an entry in use
        get, move_to_end = self._hot.get, self._hot.move_to_end

        def peek(key: str) -> Stored | None:
            stored = get(key)
            if stored is None:
                return self.fetch(key)
            try:  # `suppress` would cost three times the rest of this function
                move_to_end(key)
            except KeyError:  # packed or evicted by another thread just now
                return self.fetch(key)
            return stored

        return peek

    def find(self, key: str) -> Item | None:
        """Return the entry under `key` as it is stored; this is not a use of it."""
        id = self._ids[hash(key) % _SHARDS].get(key)
        return None if id is None else self.at(id)

    def at(self, id: int) -> Item | None:
        """Return the entry with this id as it is stored."""
        slot = id & _SLOT_MASK
        try:
            item: Item | None = self._blocks[slot >> _BLOCK_BITS][slot & _BLOCK_MASK]
        except IndexError:
            return None
        return item if item is not None and id_of(item) == id else None

    def fetch(self, key: str) -> Stored | None:
        """Put an entry among those in use and return it. Takes the lock."""
        with self.lock:
            id = self._ids[hash(key) % _SHARDS].get(key)
            if id is None:
                return None
            slot = id & _SLOT_MASK
            item = self._blocks[slot >> _BLOCK_BITS][slot & _BLOCK_MASK]
            if isinstance(item, tuple):
                item = self._blocks[slot >> _BLOCK_BITS][slot & _BLOCK_MASK] = _unpack(item)
                if self._line is not None:
                    self._line.remove(slot)
            self._warm(item)
            stored: Stored = item
            return stored

    # ---------------------------------------------------------------------- with the lock

    def next_id(self) -> int:
        """Return the id of the entry that is added next."""
        return self.serial + 1 << _SLOT_BITS | (self._free[-1] if self._free else self.slots)

    def add(self, stored: Stored) -> None:
        """Add an entry whose key there is not yet, and whose id is `next_id()`."""
        self.serial += 1
        slot = stored.id & _SLOT_MASK
        if self._free:
            self._free.pop()
        else:
            self.slots += 1
            if slot >> _BLOCK_BITS == len(self._blocks):
                self._blocks.append(np.empty(1 << _BLOCK_BITS, dtype=object))
        self._share(stored)
        stored.noted = stored.hit_count
        self._blocks[slot >> _BLOCK_BITS][slot & _BLOCK_MASK] = stored
        self._ids[hash(stored.key) % _SHARDS][stored.key] = stored.id
        self._count += 1
        if self._draw is not None:
            self._draw.add(slot)
        self._warm(stored)

    def remove(self, key: str) -> None:
        """Remove the entry under `key`."""
        slot = self._ids[hash(key) % _SHARDS].pop(key) & _SLOT_MASK
        block, place = self._blocks[slot >> _BLOCK_BITS], slot & _BLOCK_MASK
        item, block[place] = block[place], None
        if not isinstance(item, tuple):
            self._hot.pop(key, None)
        elif self._line is not None:
            self._line.remove(slot)
        if self._draw is not None:
            self._draw.remove(slot)
        self._unshare(item[3] if isinstance(item, tuple) else item.shared)
        self._count -= 1
        self._free.append(slot)
        if not self._count:
            self._reset()

    def note_hits(self, key: str, count: int, now: float) -> None:
        """Add to the hits of an entry, if there is one, and set its time of access; no use of it."""
        item = self.find(key)
        if item is None:
            return
        stored = view(item)
        stored.hit_count += count
        stored.last_accessed = now
        if isinstance(item, tuple):
            self._pack_again(stored)

    def note_vector(self, item: Item, embedder: str, size: int) -> None:
        """Set the embedder and the size of an entry; no use of it."""
        stored = view(item)
        self._unshare(stored.shared)
        stored.embedder, stored.size = embedder, size
        self._share(stored)
        if isinstance(item, tuple):
            self._pack_again(stored)

    def _pack_again(self, stored: Stored) -> None:
        slot = stored.id & _SLOT_MASK
        self._blocks[slot >> _BLOCK_BITS][slot & _BLOCK_MASK] = _pack(stored)

    def _share(self, stored: Stored) -> None:
        shared = (
            stored.namespace, stored.scope, stored.embedder, stored.kind, stored.tags, stored.aliases,
            stored.schema_version,
        )  # fmt: skip
        stored.shared = self._shared.setdefault(shared, shared)
        self._uses[stored.shared] = self._uses.get(stored.shared, 0) + 1

    def _unshare(self, shared: _Shared) -> None:
        left = self._uses[shared] - 1
        if left:
            self._uses[shared] = left
        else:
            del self._uses[shared], self._shared[shared]

    def between(self, start: int, stop: int, serial: int) -> list[Item]:
        """Return the entries in some slots, except those added after `serial` was current."""
        highest = serial << _SLOT_BITS | _SLOT_MASK
        stop = min(stop, self.slots)
        found: list[Item] = []
        while start < stop:
            place = start & _BLOCK_MASK
            part = self._blocks[start >> _BLOCK_BITS][place : place + stop - start]
            found += [item for item in part if item is not None and id_of(item) <= highest]
            start += len(part)
        return found

    def oldest(self) -> str:
        """Return the key that has not been used for longest."""
        assert self._line is not None
        slot = self._line.first
        if slot is None:
            return next(iter(self._hot))
        key: str = self._blocks[slot >> _BLOCK_BITS][slot & _BLOCK_MASK][0]
        return key

    def draw(self, count: int) -> list[Item]:
        """Return `count` entries drawn at random, perhaps some of them twice."""
        assert self._draw is not None
        return [self._blocks[slot >> _BLOCK_BITS][slot & _BLOCK_MASK] for slot in self._draw.pick(count)]

    def _warm(self, stored: Stored) -> None:
        hot = self._hot
        hot[stored.key] = stored
        if self._line is not None:
            hot.move_to_end(stored.key)
        chances = _CHANCES
        while len(hot) > _HOT:
            key, other = hot.popitem(last=False)
            if self._line is None and other.hit_count != other.noted and chances:
                chances -= 1  # hit since: another round
                other.noted = other.hit_count
                hot[key] = other
                continue
            slot = other.id & _SLOT_MASK
            self._blocks[slot >> _BLOCK_BITS][slot & _BLOCK_MASK] = _pack(other)
            if self._line is not None:
                self._line.append(slot)
