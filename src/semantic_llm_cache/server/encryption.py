"""Whether the server has the key of its storage."""

from __future__ import annotations

from contextlib import suppress

from semantic_llm_cache.backends import EncryptedBackend
from semantic_llm_cache.exceptions import CacheBackendError, EncryptionKeyError
from semantic_llm_cache.runtime.awaiting import limited
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.registry import KEY_VARIABLE, KEYS_STATE

__all__ = ["check_key"]

_SECONDS = 5.0


async def check_key(backend: StorageBackend) -> None:
    """Check that a storage that is encrypted can be read and written with what the server has.

    Without the key, or with another one, each request would bypass the cache. A storage that does not answer is no
    error: the server works without it until it does.

    Raises:
        EncryptionKeyError: the key is missing, or it is another one.
    """
    with suppress(CacheBackendError, OSError, TimeoutError):
        await limited(_check(backend), _SECONDS)


async def _check(backend: StorageBackend) -> None:
    if isinstance(backend, EncryptedBackend):
        await backend.get_many([], touch=False)  # the first operation checks the key
    elif await backend.get_state(KEYS_STATE) is not None:
        raise EncryptionKeyError(
            f"{backend.url} is encrypted: it needs the key in the variable {KEY_VARIABLE} (several as new,old)"
        )
