"""A backend picked by URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from semantic_llm_cache.backends.memory.backend import MemoryBackend
from semantic_llm_cache.backends.sqlite.backend import SQLiteBackend
from semantic_llm_cache.redaction import scheme_of
from semantic_llm_cache.storage.contract import StorageBackend

__all__ = ["backend_from_url", "resolve_backend"]

_KNOWN = (
    "memory://, sqlite:///cache.db (relative), sqlite:////var/cache/cache.db (absolute), "
    "redis://user:password@host:6379/0, postgresql://user:password@host/database"
)


def backend_from_url(url: str) -> StorageBackend:
    """Return a new backend.

    =============================== ===========================================================
    ``memory://``                   `MemoryBackend`; options ``max_size``, ``max_bytes``, ``eviction``
    ``sqlite:///cache.db``          `SQLiteBackend` on a relative path; options ``max_size``,
                                    ``max_bytes``, ``eviction``, ``busy_timeout``, ``front_seconds``
    ``sqlite:////var/tmp/cache.db`` the same on an absolute path
    ``redis://host:6379/0``         `RedisBackend`, also ``rediss://``, ``redis+cluster://``,
                                    ``redis+sentinel://``, ``unix://``; options ``prefix``,
                                    ``search``, ``front_seconds`` and more: see there
    ``postgresql://host/database``  `PostgresBackend`, also ``postgres://``; options ``max_size``,
                                    ``eviction``, ``schema``, ``pool_max``, ``front_seconds`` and
                                    more: see there
    =============================== ===========================================================

    Options follow a question mark: ``memory://?max_size=1000``. Nothing is opened yet.

    Raises:
        ValueError: another scheme, an unknown option, or a value that cannot be read.

    Example:
        >>> backend_from_url("memory://?max_size=1000")
        MemoryBackend(max_size=1000, max_bytes=None)
    """
    if not isinstance(url, str):
        raise TypeError(f"a backend's URL is text, not {type(url).__name__}: one of {_KNOWN}")
    scheme, separator, _ = url.partition("://")
    if not separator:
        raise ValueError(f"this is no backend URL, it has no scheme: use one of {_KNOWN}")
    make = _SCHEMES.get(scheme.lower())
    if make is None:
        # The rest of the URL may hold a password, and so may what is no proper scheme.
        raise ValueError(f"a backend at {scheme_of(url) or 'this URL'} is not known: use one of {_KNOWN}")
    return make(url)


def resolve_backend(backend: StorageBackend | str | None) -> StorageBackend:
    """Return `backend` itself, the one that a URL names, or for None a new `MemoryBackend`.

    Raises:
        TypeError: something that is neither a backend, a URL nor None.
        ValueError: see `backend_from_url`.
    """
    if backend is None:
        return MemoryBackend()
    if isinstance(backend, str):
        return backend_from_url(backend)
    if isinstance(backend, StorageBackend):
        return backend
    # Not its repr: bytes, or a URL object of some library, would show their password.
    raise TypeError(f"backend= must be a StorageBackend, a URL (one of {_KNOWN}) or None, not {_type_of(backend)}")


def _memory(url: str) -> StorageBackend:
    from semantic_llm_cache.storage.url_parts import split  # here and below: half of what importing this would take

    parts = split(url)
    if parts.netloc or parts.path.strip("/"):
        raise ValueError("memory:// takes no host and no path, only options")
    return MemoryBackend(**_options(url, {"max_size": int, "max_bytes": int, "eviction": str}))


def _sqlite(url: str) -> StorageBackend:
    from urllib.parse import unquote

    from semantic_llm_cache.storage.url_parts import split

    parts = split(url)
    if parts.netloc:
        raise ValueError(
            "sqlite://... has a host: write three slashes before a relative path, sqlite:///cache.db, and four before "
            "an absolute one"
        )
    path = unquote(parts.path[1:])
    if not path or path == ":memory:":
        raise ValueError("this sqlite:// URL names no file: write sqlite:///cache.db, or memory:// for no file")
    return SQLiteBackend(
        path,
        **_options(
            url,
            {
                "max_size": int,
                "max_bytes": int,
                "eviction": str,
                "busy_timeout": float,
                "front_size": int,
                "front_seconds": float,
            },
        ),
    )


def _options(url: str, known: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    from semantic_llm_cache.storage.url_parts import begin_of, read_options, split

    parts = split(url)
    if parts.fragment:
        raise ValueError(f"{begin_of(url)}: a number sign in a path is written %23")
    return read_options(url, parts.query, known)


def _type_of(value: object) -> str:
    return value.__name__ if isinstance(value, type) else type(value).__name__


def _redis(url: str) -> StorageBackend:
    from semantic_llm_cache.backends.redis.backend import RedisBackend

    return RedisBackend(url)


def _postgres(url: str) -> StorageBackend:
    from semantic_llm_cache.backends.postgres.backend import PostgresBackend

    return PostgresBackend(url)


_SCHEMES: dict[str, Callable[[str], StorageBackend]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    **dict.fromkeys(
        ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel"), _redis
    ),
    **dict.fromkeys(("postgresql", "postgres"), _postgres),
}
