"""Encryption keys: how they are given, and the keys that are derived from each."""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
from collections.abc import Iterable, Sequence
from typing import Any

from semantic_llm_cache._installation import install
from semantic_llm_cache.exceptions import EncryptionKeyError

__all__ = ["EncryptionKey", "Key", "read_keys"]

_SIZE = 32
_NONCE = 12
_HEX = re.compile(r"[0-9a-fA-F]{64}\Z")
_MAKE = 'python -c "import secrets; print(secrets.token_hex(32))"'
_HELP = f"a key is 32 random bytes, as 64 hex digits or as base64; make one with: {_MAKE}"


class Key:
    """One encryption key, and what is derived from it. Its `repr` shows only its id.

    Args:
        secret: 32 random bytes.

    Attributes:
        id: 16 hex digits that tell which key it is. They say nothing about the key.
        vectors: the seed of the secret rotation of vectors.
    """

    __slots__ = ("_aead", "_names", "id", "vectors")

    def __init__(self, secret: bytes) -> None:
        self._aead = _cipher(_derived(secret, "encryption"))
        self._names = _derived(secret, "names")
        self.vectors = _derived(secret, "vectors")
        self.id = _derived(secret, "id").hex()[:16]

    def __repr__(self) -> str:
        return f"Key({self.id})"

    def name(self, kind: str, text: str) -> str:
        """Return a keyed hash (HMAC-SHA-256, cut to 160 bits, in hex) that stands for a text in the storage."""
        data = f"{kind}\0{text}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._names, data, "sha256").hex()[:40]

    def seal(self, data: bytes, place: bytes) -> bytes:
        """Return encrypted data that can only be opened at the same place: 12 bytes of nonce, data, 16 bytes of tag."""
        nonce = os.urandom(_NONCE)
        sealed: bytes = self._aead.encrypt(nonce, data, place)
        return nonce + sealed

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """Return what `seal` was given. ValueError if the data, the key or the place is another one."""
        from cryptography.exceptions import InvalidTag

        try:
            data: bytes = self._aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], place)
        except InvalidTag:
            raise ValueError("it was changed or moved after it was encrypted") from None
        return data


EncryptionKey = str | bytes | Sequence[str | bytes | Key]
"""A key, or several: the first encrypts, all decrypt."""


def _derived(secret: bytes, purpose: str) -> bytes:
    return hmac.digest(secret, f"semantic-llm-cache 1 {purpose}".encode(), "sha256")


def _cipher(secret: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise ImportError(f'encryption needs the package "cryptography": {install("encryption")}') from None
    return AESGCM(secret)


def read_keys(given: EncryptionKey, name: str = "encryption_key") -> tuple[Key, ...]:
    """Return the keys in what a user gave: one key, several, or text with commas between them.

    Args:
        given: 64 hex digits, base64 of 32 bytes (also in the form for URLs, as `Fernet.generate_key` gives), 32 raw
            bytes, or several of these: the first encrypts, all decrypt.
        name: the argument or variable, for the message.

    Raises:
        EncryptionKeyError: (a ValueError) it is no key. The message does not show it.
        ImportError: the package ``cryptography`` is not installed.

    Example:
        >>> read_keys("00" * 32) == read_keys("11" * 32)
        False
    """
    parts: list[Any]
    if isinstance(given, str):
        parts = [part for part in given.split(",") if part.strip()]
    elif isinstance(given, (bytes, bytearray)):
        parts = [given]
    elif isinstance(given, Iterable):
        parts = list(given)
    else:
        raise EncryptionKeyError(f"{name} is of type {type(given).__name__}: {_HELP}")
    if not parts:
        raise EncryptionKeyError(f"{name} is empty: {_HELP}")
    keys = {key.id: key for key in (part if isinstance(part, Key) else Key(_secret(part, name)) for part in parts)}
    return tuple(keys.values())


def _secret(part: Any, name: str) -> bytes:
    if isinstance(part, (bytes, bytearray)):
        if len(part) == _SIZE:
            return bytes(part)
        part = part.decode("ascii", "replace")
    if not isinstance(part, str):
        raise EncryptionKeyError(f"{name} holds a value of type {type(part).__name__}: {_HELP}")
    text = part.strip()
    if _HEX.match(text):
        return bytes.fromhex(text)
    try:
        plain = text.replace("-", "+").replace("_", "/").rstrip("=")
        secret = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) != _SIZE:
        raise EncryptionKeyError(f"{name} is no key of 32 bytes: {_HELP}")
    return secret
