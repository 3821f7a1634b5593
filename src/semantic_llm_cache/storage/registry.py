"""How a backend is found: by object, by URL, or as the process's default."""

from __future__ import annotations

import os
import threading
import weakref
from importlib import import_module
from typing import Any

from semantic_llm_cache.redaction import scheme_of
from semantic_llm_cache.runtime import background
from semantic_llm_cache.storage.contract import StorageBackend

__all__ = [
    "KEYS_STATE",
    "KEY_VARIABLE",
    "SCHEMES",
    "backend_from_url",
    "backends_in_use",
    "default_in_use",
    "encrypted_backend",
    "engines_in_use",
    "get_default_backend",
    "plain_backend",
    "plain_from_url",
    "read_encryption_keys",
    "register_engine",
    "resolve_backend",
    "set_default_backend",
    "shared_backend",
]

_BACKENDS = "semantic_llm_cache.backends."
_REDIS = f"{_BACKENDS}redis.backend:RedisBackend"
_POSTGRES = f"{_BACKENDS}postgres.backend:PostgresBackend"

SCHEMES: dict[str, str] = {
    "memory": f"{_BACKENDS}memory.backend:MemoryBackend",
    "sqlite": f"{_BACKENDS}sqlite.backend:SQLiteBackend",
    "redis": _REDIS,
    "rediss": _REDIS,
    "unix": _REDIS,
    "redis+cluster": _REDIS,
    "rediss+cluster": _REDIS,
    "redis+sentinel": _REDIS,
    "rediss+sentinel": _REDIS,
    "postgresql": _POSTGRES,
    "postgres": _POSTGRES,
}
"""What a URL may begin with, and the class behind it, whose `from_url` reads the rest."""

_KNOWN = (
    "memory://, sqlite:///cache.db (relative), sqlite:////var/cache/cache.db (absolute), "
    "redis://user:password@host:6379/0, postgresql://user:password@host/database"
)


KEY_VARIABLE = "SEMANTIC_LLM_CACHE_ENCRYPTION_KEY"
"""The environment variable with the keys, separated by commas, for backends that are opened by URL."""

KEYS_STATE = "encryption:keys"
"""The name of the state that says with which keys, by their ids, a storage is encrypted, and what it has of vectors."""

_ENCRYPTED = f"{_BACKENDS}encrypted.backend:EncryptedBackend"
_READ_KEYS = f"{_BACKENDS}encrypted.keys:read_keys"

_lock = threading.Lock()
_wrapped: weakref.WeakKeyDictionary[StorageBackend, weakref.WeakValueDictionary[tuple[str, ...], StorageBackend]] = (
    weakref.WeakKeyDictionary()
)
_by_url: weakref.WeakValueDictionary[str, StorageBackend] = weakref.WeakValueDictionary()
_engines: weakref.WeakSet[Any] = weakref.WeakSet()
_default: StorageBackend | None = None


def backend_from_url(url: str) -> StorageBackend:
    """Return a new backend for a URL; each call makes another one.

    =============================== ===========================================================
    ``memory://``                   `MemoryBackend`; options ``max_size``, ``max_bytes``, ``eviction``
    ``sqlite:///cache.db``          `SQLiteBackend` on a relative path; options ``max_size``,
                                    ``max_bytes``, ``eviction``, ``busy_timeout``, ``front_size``,
                                    ``front_seconds``
    ``sqlite:////var/tmp/cache.db`` the same on an absolute path
    ``redis://host:6379/0``         `RedisBackend`, also ``rediss://``, ``redis+cluster://``,
                                    ``rediss+cluster://``, ``redis+sentinel://``,
                                    ``rediss+sentinel://``, ``unix://``; options ``prefix``,
                                    ``search``, ``front_seconds`` and more: see there
    ``postgresql://host/database``  `PostgresBackend`, also ``postgres://``; options ``max_size``,
                                    ``eviction``, ``schema``, ``pool_max``, ``front_seconds`` and
                                    more: see there
    =============================== ===========================================================

    Options follow a question mark: ``memory://?max_size=1000``. Nothing is opened yet.

    If the environment variable ``SEMANTIC_LLM_CACHE_ENCRYPTION_KEY`` is set, the backend is an `EncryptedBackend`
    around that. ``memory://`` is not: it stores nothing that outlives the process.

    Raises:
        ValueError: another scheme, an unknown option, or a value that cannot be read.

    Example:
        >>> backend_from_url("memory://?max_size=1000")
        MemoryBackend(max_size=1000, max_bytes=None)
    """
    made = plain_from_url(url)
    return made if made.in_process or not os.environ.get(KEY_VARIABLE) else encrypted_backend(made)


def encrypted_backend(backend: StorageBackend | str, key: Any = None, name: str = KEY_VARIABLE) -> StorageBackend:
    """Return the `EncryptedBackend` around a backend, or a URL; one backend and one key give one object in a process.

    Args:
        backend: a backend or URL.
        key: the key or keys; None takes those of the environment variable.
        name: of the argument or variable, for messages.

    Raises:
        EncryptionKeyError: the key cannot be read.
        TypeError: the backend is encrypted with other keys.
        ImportError: the package ``cryptography`` is not installed.
    """
    keys = read_encryption_keys(os.environ.get(KEY_VARIABLE, "") if key is None else key, name)
    ids = tuple(each.id for each in keys)
    kind: Any = _named(_ENCRYPTED)
    if isinstance(backend, StorageBackend) and isinstance(backend, kind):
        if getattr(backend, "key_ids", None) != ids:
            raise TypeError(f"{name}: the backend is an EncryptedBackend with other keys: give the keys in one place")
        return backend
    inner = plain_backend(backend)
    with _lock:
        known = _wrapped.setdefault(inner, weakref.WeakValueDictionary())
        found = known.get(ids)
        if found is None:
            found = known[ids] = kind(inner, keys)
    return found


def read_encryption_keys(given: Any, name: str) -> Any:
    """Return the keys in what a user gave: see `encrypted_backend`."""
    return _named(_READ_KEYS)(given, name)


def plain_backend(backend: StorageBackend | str, name: str = "backend") -> StorageBackend:
    """Do what `shared_backend` does, without the encryption that the environment asks for."""
    return _shared(backend, name)


def _named(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def plain_from_url(url: str) -> StorageBackend:
    """Do what `backend_from_url` does, without the encryption that the environment asks for."""
    if not isinstance(url, str):
        raise TypeError(f"a backend's URL is text, not {type(url).__name__}: one of {_KNOWN}")
    scheme, separator, _ = url.partition("://")
    if not separator:
        raise ValueError(f"this is not a backend URL, it has no '://': use one of {_KNOWN}")
    place = SCHEMES.get(scheme.lower())
    if place is None:
        # The rest of the URL may hold a password, and so may a malformed scheme.
        from difflib import get_close_matches  # only for the message

        near = get_close_matches(scheme.lower(), SCHEMES, 1) if scheme_of(url) else []
        hint = f" (did you mean {near[0]}://?)" if near else ""
        raise ValueError(f"a backend at {scheme_of(url) or 'this URL'} is not known{hint}: use one of {_KNOWN}")
    made: StorageBackend = _named(place).from_url(url)
    return made


def resolve_backend(backend: StorageBackend | str | None) -> StorageBackend:
    """Return `backend` itself, a new backend for a URL, or for None a new `MemoryBackend`.

    Two calls with one URL give two objects. Caches that are given a URL share one: see `shared_backend`.

    Raises:
        TypeError: something that is neither a backend, a URL nor None.
        ValueError: see `backend_from_url`.
    """
    if backend is None:
        return backend_from_url("memory://")
    if isinstance(backend, str):
        return backend_from_url(backend)
    if isinstance(backend, StorageBackend):
        return backend
    # Not its repr: bytes, or a URL object of some library, would show their password.
    raise TypeError(f"backend= must be a StorageBackend, a URL (one of {_KNOWN}) or None, not {_type_of(backend)}")


def _type_of(value: object) -> str:
    return value.__name__ if isinstance(value, type) else type(value).__name__


def shared_backend(backend: StorageBackend | str, name: str = "backend") -> StorageBackend:
    """Return the backend of a cache that was given an object or URL; one URL is one object in a process.

    So caches with one URL share connections and calls in flight. It lives as long as one of them
    uses it. ``memory://`` is the exception: two caches in memory are two caches.

    A URL is encrypted if ``SEMANTIC_LLM_CACHE_ENCRYPTION_KEY`` is set; see `backend_from_url`.

    Raises:
        TypeError, ValueError: naming the argument and the known URLs.
    """
    found = _shared(backend, name)
    if isinstance(backend, str) and not found.in_process and os.environ.get(KEY_VARIABLE):
        return encrypted_backend(found)
    return found


def _shared(backend: StorageBackend | str, name: str) -> StorageBackend:
    if isinstance(backend, StorageBackend):
        return backend
    if not isinstance(backend, str):
        # Not its repr: see `resolve_backend`.
        raise TypeError(
            f"{name}= must be a StorageBackend or a URL such as 'sqlite:///cache.db', not a {type(backend).__name__}"
        )
    with _lock:
        found = _by_url.get(backend)
    if found is not None:
        return found
    try:
        made = plain_from_url(backend)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if backend.startswith("memory:"):
        return made
    with _lock:
        return _by_url.setdefault(backend, made)


def backends_in_use() -> list[StorageBackend]:
    """Return the backends of the engines of this process, and the default one."""
    with _lock:
        engines = list(_engines)
    found = {id(backend): backend for backend in (get_default_backend(), *(engine.backend for engine in engines))}
    return list(found.values())


def engines_in_use() -> list[Any]:
    """Return the engines of this process."""
    with _lock:
        return list(_engines)


def register_engine(engine: Any) -> None:
    """Count the backend of `engine` as in use while the engine lives."""
    with _lock:
        _engines.add(engine)


def default_in_use() -> StorageBackend | None:
    """Return the process's default backend if something has used it yet, else None. Makes none."""
    return _default


def get_default_backend() -> StorageBackend:
    """Return the backend of every cache that names none.

    It is what `set_default_backend` was given, else what the environment variable
    ``SEMANTIC_LLM_CACHE_URL`` names, else memory.
    """
    global _default
    found = _default
    if found is None:
        try:
            made = shared_backend(os.environ.get("SEMANTIC_LLM_CACHE_URL") or "memory://")
        except ValueError as error:
            raise ValueError(f"the environment variable SEMANTIC_LLM_CACHE_URL: {error}") from None
        with _lock:
            if _default is None:
                _default = made
            found = _default
    return found


def set_default_backend(backend: StorageBackend | str | None) -> None:
    """Make `backend` (an object or URL) the process's default, at once, for every cache that names none.

    None goes back to the environment variable or memory. The backend used before is not closed.
    """
    global _default
    _default = None if backend is None else shared_backend(backend)


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


background.after_fork(_after_fork)
