"""Entries to encrypted entries and back.

An encrypted entry is an ordinary one whose fields hold no text: its answer is a token, and the prompt, scope and tags
are keyed hashes, by which the storage can still find and delete it. The token holds all fields, the key included, and
can be opened only under the key of the storage that it was made for.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import replace
from typing import Any

from semantic_llm_cache.backends.encrypted.keys import Key
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.exceptions import CacheSerializationError
from semantic_llm_cache.values.encoding import dumps, loads

__all__ = [
    "Damage", "blob_mark", "is_sealed", "key_id", "open_bytes", "open_entry", "prompt_name", "seal_bytes", "seal_entry",
    "stored_key", "token_size",
]  # fmt: skip

_MARK = "slc-sealed-1"
_CLEAR = ("created_at", "ttl", "namespace", "kind", "schema_version")
"""Fields that the storage needs in clear. They are sealed too, so that a change is noticed."""
_SEALED = (*_CLEAR, "prompt", "scope", "input_tokens", "output_tokens", "tags", "aliases", "duration_ms", "cost_usd")


class Damage(Exception):
    """An entry that cannot be opened."""


def stored_key(key: Key, name: str) -> str:
    """Return the key under which the storage keeps the entry with the key `name`."""
    return f"e1:{key.name('key', name)}"


def key_id(entry: CacheEntry) -> str:
    """Return the id of the key that an entry was encrypted with; ``""`` if it is not encrypted."""
    token = entry.response
    if not isinstance(token, str) or not token.startswith(_MARK):
        return ""
    return token.split(".", 2)[1] if token.count(".") == 2 else ""


def token_size(entry: CacheEntry) -> int:
    """Return the length of an encrypted entry's token."""
    return len(entry.response) if isinstance(entry.response, str) else 0


def seal_entry(key: Key, name: str, entry: CacheEntry) -> CacheEntry:
    """Return the entry to store. Its vector and embedder are those of `entry`.

    Raises:
        CacheSerializationError: the answer has no stored form.
    """
    fields = {field: getattr(entry, field) for field in _SEALED}
    # Not as escapes of ASCII: JSON would join two halves of surrogate pairs to one character.
    text = f"{json.dumps({'key': name, **fields}, ensure_ascii=False)}\n{dumps(entry.response)}"
    place = stored_key(key, name)
    sealed = key.seal(text.encode("utf-8", "surrogatepass"), place.encode())
    return replace(
        entry,
        prompt=prompt_name(key, name, entry.prompt),
        response=f"{_MARK}.{key.id}.{base64.b64encode(sealed).decode()}",
        scope=key.name("scope", entry.scope),
        tags=tuple(key.name("tag", tag) for tag in entry.tags),
        aliases=(),
    )


def prompt_name(key: Key, name: str, prompt: str) -> str:
    """Return what stands for a prompt, other for each entry: equal prompts are not seen to be equal."""
    return key.name("prompt", f"{name}\0{prompt}") if prompt else ""


def open_entry(key: Key, place: str, stored: CacheEntry) -> tuple[str, CacheEntry]:
    """Return key and entry of what the storage keeps under `place`. Its vector and embedder are those of `stored`.

    Raises:
        Damage: it was changed, moved, or encrypted with another key.
    """
    try:
        sealed = base64.b64decode(stored.response.split(".", 2)[2], validate=True)
        head, _, answer = key.open(sealed, place.encode()).decode("utf-8", "surrogatepass").partition("\n")
        fields: dict[str, Any] = json.loads(head)
        name = fields.pop("key")
        if any(fields[field] != getattr(stored, field) for field in _CLEAR):
            raise Damage("its times or its namespace were changed after it was encrypted")
        fields["tags"], fields["aliases"] = tuple(fields["tags"]), tuple(fields["aliases"])
        return name, replace(stored, response=loads(answer), **fields)
    except CacheSerializationError as error:
        raise Damage(str(error)) from error
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, binascii.Error) as error:
        raise Damage("it was changed or moved after it was encrypted") from error


def blob_mark(key: Key) -> bytes:
    """Return what the blobs begin with that are encrypted with this key."""
    return f"{_MARK}.{key.id}.".encode()


def is_sealed(value: bytes) -> bool:
    """Return whether a named blob is encrypted, with whatever key."""
    return value.startswith(f"{_MARK}.".encode())


def seal_bytes(key: Key, name: str, value: bytes) -> bytes:
    """Return an encrypted named blob."""
    return blob_mark(key) + key.seal(value, _place_of(name))


def open_bytes(keys: tuple[Key, ...], name: str, sealed: bytes) -> bytes:
    """Return what `seal_bytes` was given. Raises Damage."""
    parts = sealed.split(b".", 2)
    if len(parts) != 3 or parts[0] != _MARK.encode():
        raise Damage("it is not encrypted")
    for key in keys:
        if key.id.encode() == parts[1]:
            try:
                return key.open(parts[2], _place_of(name))
            except ValueError as error:
                raise Damage(str(error)) from error
    raise Damage("it is encrypted with another key")


def _place_of(state: str) -> bytes:
    return f"state:{state}".encode("utf-8", "surrogatepass")
