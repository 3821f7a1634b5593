"""Export and import of all entries as JSON."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from dataclasses import fields
from typing import IO, TYPE_CHECKING, Any

from semantic_llm_cache.arguments import check_namespace, check_path, shown
from semantic_llm_cache.config import SCHEMA_VERSION, CacheEntry
from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.runtime.private_files import replacing
from semantic_llm_cache.runtime.yielding import Pace
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.key_check import require_key
from semantic_llm_cache.storage.registry import backends_in_use, shared_backend
from semantic_llm_cache.values.encoding import Encoded, dumps, loads, thaw
from semantic_llm_cache.values.odd_text import escape, portable, unescape

if TYPE_CHECKING:
    import pathlib

__all__ = ["entry_from_dict", "entry_to_dict", "export_cache", "import_cache"]

FORMAT = "semantic-llm-cache export 1"
_PLAIN = [f.name for f in fields(CacheEntry) if f.name not in ("response", "embedding", "tags", "aliases")]


def entry_to_dict(key: str, entry: CacheEntry, *, for_file: bool = False) -> dict[str, Any]:
    """Return an entry as a dict: the response as it is, or for a file in its tagged form.

    The embedding is a list of floats; for a file, base64 of little-endian float32.
    """
    record: dict[str, Any] = {"key": key, **{name: getattr(entry, name) for name in _PLAIN}}
    record["tags"], record["aliases"] = list(entry.tags), list(entry.aliases)
    record["embedding"] = None
    if entry.embedding is not None:
        import numpy as np

        vector = np.asarray(entry.embedding, dtype="<f4")
        record["embedding"] = base64.b64encode(vector.tobytes()).decode("ascii") if for_file else vector.tolist()
    record["response"] = json.loads(unescape(dumps(entry.response))) if for_file else thaw(entry.response)
    return record


def entry_from_dict(record: Any, where: str) -> tuple[str, CacheEntry]:
    """Return key and entry of a record of an export file.

    Raises:
        CacheSerializationError: saying where and what is wrong.
    """
    if not isinstance(record, dict):
        raise CacheSerializationError(f"{where}: an entry must be a JSON object")
    for name, kind in (("key", str), ("prompt", str)):
        if not isinstance(record.get(name), kind):
            raise CacheSerializationError(f"{where}: {name!r} is missing or not a string")
    if "response" not in record:
        raise CacheSerializationError(f"{where}: 'response' is missing")
    if record.get("schema_version", SCHEMA_VERSION) != SCHEMA_VERSION:
        raise CacheSerializationError(
            f"{where}: schema_version {shown(record.get('schema_version'))} is not {SCHEMA_VERSION}"
        )
    defaults = CacheEntry("", None)
    values: dict[str, Any] = {}
    for name in _PLAIN:
        if name not in record:
            continue
        value, default = record[name], getattr(defaults, name)
        expected: tuple[type, ...] = (int, float) if isinstance(default, float) or default is None else (type(default),)
        if (isinstance(value, bool) or not isinstance(value, expected)) and not (
            value is None and name in ("ttl", "last_accessed")
        ):
            raise CacheSerializationError(f"{where}: {name}={shown(value)} is no {expected[0].__name__}")
        if isinstance(value, (int, float)) and not abs(value) < 1e18:  # refuses nan too
            raise CacheSerializationError(f"{where}: {name}={shown(value)} is out of range")
        values[name] = value
    for name in ("tags", "aliases"):
        labels = record.get(name, [])
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise CacheSerializationError(f"{where}: {name} must be a list of strings")
        values[name] = tuple(labels)
    try:
        # Read now, so that it fails here rather than at the first hit; written again, as JSON may hold odd text.
        text = dumps(loads(escape(json.dumps(record["response"], ensure_ascii=False))))
    except (CacheSerializationError, ValueError, RecursionError) as error:
        raise CacheSerializationError(f"{where}: 'response' cannot be read: {describe(error)}") from None
    return record["key"], CacheEntry(
        response=Encoded(text), embedding=_vector(record.get("embedding"), where), **values
    )


def _vector(value: Any, where: str) -> Any:
    if value is None:
        return None
    import numpy as np

    from semantic_llm_cache.similarity.base import unit

    try:
        if isinstance(value, str):
            vector = np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4")
        else:
            vector = np.asarray(value, dtype="<f4")
        return unit(vector)
    except (ValueError, TypeError, OverflowError) as error:
        raise CacheSerializationError(f"{where}: 'embedding' cannot be read ({type(error).__name__})") from None


async def export_cache(
    namespace: str | None = None,
    filepath: str | os.PathLike[str] | None = None,
    *,
    backend: StorageBackend | str | None = None,
) -> list[dict[str, Any]]:
    """Return all live entries as dicts, and write them to a file when one is named.

    Args:
        namespace: None exports all.
        filepath: ``.jsonl`` gets an entry per line, anything else one JSON document. The file is
            written completely or not at all: under another name first, then renamed. Only its owner may read a new
            file (mode 0600); an existing one keeps its mode.
        backend: a backend or URL; None means every backend in use in this process.

    Raises:
        OSError: the file cannot be written.

    Example:
        >>> import asyncio
        >>> asyncio.run(export_cache(backend="memory://"))
        []
    """
    check_namespace(namespace)
    path = None if filepath is None else _path(filepath)
    targets = backends_in_use() if backend is None else [shared_backend(backend)]
    found: dict[str, CacheEntry] = {}
    pace = Pace()
    for target in targets:
        await require_key(target)
        async for key, entry in target.scan(namespace=namespace):
            found.setdefault(key, entry)
            if pace.over():
                await pace.rest()
    if path is not None:
        await asyncio.to_thread(_write, path, found)
    records = []
    for key, entry in found.items():
        records.append(entry_to_dict(key, entry))
        if pace.over():
            await pace.rest()
    return records


def _path(filepath: Any) -> pathlib.Path:
    import pathlib  # takes 4 ms with its own imports, and few need it

    return pathlib.Path(check_path(filepath, "filepath"))


def _write(path: pathlib.Path, entries: dict[str, CacheEntry]) -> None:
    with replacing(str(path)) as file:
        if path.suffix.lower() == ".jsonl":
            for key, entry in entries.items():
                _dump(entry_to_dict(key, entry, for_file=True), file)
                file.write("\n")
        else:
            records = [entry_to_dict(key, entry, for_file=True) for key, entry in entries.items()]
            _dump({"format": FORMAT, "entries": records}, file, indent=1)


def _dump(value: Any, file: IO[str], indent: int | None = None) -> None:
    for text in json.JSONEncoder(ensure_ascii=False, indent=indent).iterencode(value):
        file.write(portable(text))


async def import_cache(
    filepath: str | os.PathLike[str],
    *,
    backend: StorageBackend | str | None = None,
) -> int:
    """Store the entries of an export file, embeddings and times included; return how many entries.

    Entries that have expired since are left out; entries under the same key are replaced. The whole file is
    read and checked first: a damaged one imports nothing.

    Args:
        filepath: what `export_cache` wrote.
        backend: a backend or URL; None means every backend in use in this process.

    Raises:
        FileNotFoundError: no such file.
        CacheSerializationError: naming the line or entry and what is wrong.
    """
    items = await asyncio.to_thread(_read, _path(filepath))
    count = 0
    for target in backends_in_use() if backend is None else [shared_backend(backend)]:
        await require_key(target)
        now = target.clock()
        stored = await target.set_many([(key, entry) for key, entry in items if not entry.is_expired(now)])
        count = max(count, stored)
    return count


def _read(path: pathlib.Path) -> list[tuple[str, CacheEntry]]:
    data = path.read_bytes()
    if path.suffix.lower() == ".jsonl":
        items = []
        # Split at line feeds only: JSON text may hold other line-ending characters unescaped.
        for number, line in enumerate(data.split(b"\n"), 1):
            if line.strip():
                where = f"{path}, line {number}"
                items.append(entry_from_dict(_parse(line, where), where))
        return items
    document = _parse(data, str(path))
    records = document.get("entries") if isinstance(document, dict) else document
    if not isinstance(records, list):
        raise CacheSerializationError(f"{path}: not an export of this package: it has no list of entries")
    return [entry_from_dict(record, f"{path}, entry {i}") for i, record in enumerate(records, 1)]


def _parse(data: bytes, where: str) -> Any:
    try:
        return json.loads(unescape(data.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        raise CacheSerializationError(f"{where}: not JSON: not UTF-8 text (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise CacheSerializationError(f"{where}: not JSON: {error}") from None
    except ValueError:
        raise CacheSerializationError(f"{where}: not JSON: a number has more digits than Python reads") from None
    except RecursionError:
        raise CacheSerializationError(f"{where}: not JSON: it is nested too deeply") from None
