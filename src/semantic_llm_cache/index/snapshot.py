"""An index file: written while the index is in use, opened by mapping it into memory.

File layout, all numbers little-endian: 64 bytes (magic, then offset, length and CRC-32 of the header), the
sections, and at the end the header, a JSON object. For each partition the header gives the offsets and
CRC-32 of its ids, its vectors (float32, row by row) and its inverted lists, and whether those are compact. Rows that
changed during the writing are listed as dead, and their new content is written again after the others.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import sys
import zlib
from array import array
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from semantic_llm_cache.index.compact import CompactLists
from semantic_llm_cache.index.inverted import InvertedLists
from semantic_llm_cache.index.linear import Vector
from semantic_llm_cache.index.partition import Partition
from semantic_llm_cache.index.vectors import VectorIndex

__all__ = ["Snapshot", "write"]

_MAGIC = b"SLLC vectors 2\n\0"
_MAGIC_COMPACT = b"SLLC vectors 3\n\0"  # as 2, with compact lists, which a version that knows only 2 must not read
_FRONT = struct.Struct("<16sQQI")
_FRONT_BYTES = 64
_CHUNK = 4 << 20
_ALIGN = 64

Check = Callable[[], None]


# ------------------------------------------------------------------------------------- writing


def write(index: VectorIndex, file: BinaryIO, info: dict[str, Any], check: Check) -> int:
    """Write `index` to `file`, empty and at its start; return how many of its vectors are in lists.

    Call only in the thread of the index's indexer, so that no lists change during the writing.

    Args:
        index: the index to write; it may be searched and changed meanwhile.
        info: values to store in the header.
        check: called every few milliseconds; an exception from it ends the writing.
    """
    writer = _Writer(file, check)
    file.write(b"\0" * _FRONT_BYTES)
    partitions: list[dict[str, Any]] = []
    indexed = 0
    for partition in index.partitions():
        check()
        if (described := _write_partition(index, partition, writer)) is not None:
            partitions.append(described)
            indexed += described["indexed"]
    header = json.dumps({"info": info, "byteorder": sys.byteorder, "partitions": partitions}).encode()
    place, length, crc = writer.section(header)
    file.seek(0)
    magic = _MAGIC_COMPACT if any(described.get("compact") for described in partitions) else _MAGIC
    file.write(_FRONT.pack(magic, place, length, crc))
    file.flush()
    os.fsync(file.fileno())
    return indexed


class _Writer:
    def __init__(self, file: BinaryIO, check: Check) -> None:
        self.file = file
        self.check = check

    def section(self, *parts: Any) -> tuple[int, int, int]:
        """Write buffers one after the other; return their offset, length and CRC-32."""
        self.file.write(b"\0" * (-self.file.tell() % _ALIGN))
        start, crc = self.file.tell(), 0
        for part in parts:
            crc = zlib.crc32(part, crc)
            self.file.write(part)
            self.check()
        return start, self.file.tell() - start, crc


def _write_partition(index: VectorIndex, partition: Partition, writer: _Writer) -> dict[str, Any] | None:
    changed: set[int] = set()
    with index.watching(partition, changed) as seen:
        if seen is None:
            return None
        ids, blocks, lists, indexed = seen
        count = len(ids)
        described: dict[str, Any] = {"key": partition.key, "count": count, "indexed": 0}
        described["ids"] = writer.section(ids)
        rows = blocks[0].shape[0]
        described["vectors"] = writer.section(
            *[block[: count - number * rows].data.cast("B") for number, block in enumerate(blocks)]
        )
        if lists is not None and indexed:
            lengths, parts = lists.parts()
            described["lists"] = writer.section(*parts)
            described.update(indexed=indexed, lengths=lengths, trained=lists.trained)
            if isinstance(lists, CompactLists):
                described["compact"] = True
    # `changed` is complete now. A moved id can be in a dead row and also in a live or an extra one.
    if changed:
        described["dead"] = sorted(number for number in changed if number < count)
        extra, vectors = index.rows_now(partition, changed)
        described["extra"] = writer.section(extra)
        described["extra_vectors"] = writer.section(vectors.tobytes())
    return described


# ------------------------------------------------------------------------------------- reading


class Snapshot:
    """A memory-mapped index file. Changes to its content stay in this process.

    Args:
        path: path of the file.

    Raises:
        ValueError: not an index file, or visibly damaged; `verify` finds the rest.
        OSError: the file cannot be read.
    """

    def __init__(self, path: str) -> None:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < _FRONT_BYTES:
                raise ValueError("it is too short")
            self._own = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)  # rows are written to
            self._file = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.size = size
        self._waiting: list[dict[str, Any]] = []
        magic, place, length, crc = _FRONT.unpack_from(self._file)
        if magic not in (_MAGIC, _MAGIC_COMPACT):
            raise ValueError("it is of another kind or version")
        try:
            header = json.loads(bytes(self._section((place, length, crc), "header")))
            self.info: dict[str, Any] = header["info"]
            self._partitions: list[dict[str, Any]] = header["partitions"]
            byteorder = header["byteorder"]
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"its header cannot be read ({type(error).__name__})") from error
        if byteorder != sys.byteorder:
            raise ValueError("it was written on a machine of another byte order")

    def _section(self, described: Any, name: str, check: Check | None = None) -> memoryview:
        place, length, crc = described
        if place < 0 or length < 0 or place + length > self.size:
            raise ValueError(f"it ends before its {name}")
        data = memoryview(self._file)[place : place + length]
        found = 0
        for start in range(0, length, _CHUNK):
            found = zlib.crc32(data[start : start + _CHUNK], found)
            if check is not None:
                check()
        if found != crc:
            raise ValueError(f"the checksum of its {name} is wrong")
        return data

    def _ids(self, described: Any) -> array[int]:
        ids = array("q")
        ids.frombytes(self._section(described, "ids"))
        return ids

    def _rows(self, described: Any, count: int, dimension: int) -> Vector:
        place, length, _ = described
        if place < 0 or place + length > self.size or length != 4 * count * dimension:
            raise ValueError("it ends before its vectors")
        return np.frombuffer(self._own, np.float32, count * dimension, place).reshape(count, dimension)

    def fill(self, index: VectorIndex) -> None:
        """Add all vectors, still unverified, to `index`, which must be empty. Raise ValueError if damaged."""
        try:
            for described in self._partitions:
                self._fill(index, described)
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(f"its header is damaged ({type(error).__name__})") from error

    def _fill(self, index: VectorIndex, described: dict[str, Any]) -> None:
        scope, embedder, namespace, dimension = described["key"]
        ids = self._ids(described["ids"])
        if not len(ids) == described["count"] >= described["indexed"]:
            raise ValueError("its header is damaged")
        vectors = self._rows(described["vectors"], len(ids), dimension)
        dead = described.get("dead", ())
        for name, number in enumerate(dead):
            ids[number] = -1 - name  # ids of rows are positive
        lists = None
        if described["indexed"]:
            data = self._section(described["lists"], "lists")
            kind = CompactLists if described.get("compact") else InvertedLists
            lists = kind.restore(dimension, described["lengths"], described["trained"], data)
        index.adopt((scope, embedder, namespace, dimension), ids, vectors, lists, described["indexed"])
        for name in range(len(dead)):
            index.remove(-1 - name)
        if "extra" in described:
            extra = self._ids(described["extra"])
            if extra:
                rows = self._rows(described["extra_vectors"], len(extra), dimension)
                index.add_many(extra.tolist(), rows, scope=scope, embedder=embedder, namespace=namespace)
        self._waiting.append(described)

    def verify(self, check: Check) -> None:
        """Compare the vectors with their checksums, calling `check` regularly. Raise ValueError if damaged."""
        for described in self._waiting:
            for name in ("vectors", "extra_vectors"):
                if name in described:
                    self._section(described[name], "vectors", check)
        self._waiting = []
