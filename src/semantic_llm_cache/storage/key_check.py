"""Refuses a storage that is encrypted where it is used without its key.

Such a program would find nothing, and store prompts and answers in clear beside the encrypted ones. That is a mistake
in the set-up and no outage, so it is raised whatever `on_error` says. `EncryptedBackend` checks its own keys.
"""

from __future__ import annotations

from contextlib import suppress

from semantic_llm_cache.exceptions import EncryptionKeyError
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.registry import KEY_VARIABLE, KEYS_STATE

__all__ = ["require_key"]


async def require_key(backend: StorageBackend) -> StorageBackend:
    """Return the backend, once it is known that it may be used.

    The storage is asked once for each backend object; `BackendState.flush` has it asked again now and then.

    Raises:
        EncryptionKeyError: the storage is encrypted, and the backend has no key, or another one.
        CacheBackendError: the storage failed. Nothing is known then, so do not use it yet.
    """
    if backend.key_checked or backend.in_process:
        return backend
    mark = None
    with suppress(NotImplementedError):  # a backend of one's own that keeps no states has no mark either
        mark = await backend.get_state(KEYS_STATE)
    if mark is not None:
        raise EncryptionKeyError(
            f"{backend.url} is encrypted, and encryption_key= was not given: pass its key as encryption_key=, or set "
            f"{KEY_VARIABLE} (several as new,old); to store in clear, use another storage"
        )
    with suppress(AttributeError):  # a frozen class is asked each time
        backend.key_checked = True
    return backend
