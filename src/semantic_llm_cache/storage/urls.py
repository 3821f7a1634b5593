"""A backend picked by URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from semantic_llm_cache.backends.memory.backend import MemoryBackend
from semantic_llm_cache.backends.sqlite.backend import SQLiteBackend
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
        raise ValueError(f"{url!r} is no backend URL: use one of {_KNOWN}")
    make = _SCHEMES.get(scheme.lower())
    if make is None:
        # The rest of the URL may hold a password.
        raise ValueError(f"a backend at {scheme}:// is not known: use one of {_KNOWN}")
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
    raise TypeError(f"backend={backend!r} must be a StorageBackend, a URL (one of {_KNOWN}) or None")


def _memory(url: str) -> StorageBackend:
    from urllib.parse import urlsplit  # here and below: half of what importing this would take

    parts = urlsplit(url)
    if parts.netloc or parts.path.strip("/"):
        raise ValueError(f"{url!r}: memory:// takes no host and no path, only options")
    return MemoryBackend(**_options(url, {"max_size": int, "max_bytes": int, "eviction": str}))


def _sqlite(url: str) -> StorageBackend:
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(url)
    if parts.netloc:
        raise ValueError(f"{url!r} has a host: write sqlite:///{parts.netloc}{parts.path} with three slashes")
    path = unquote(parts.path[1:])
    if not path or path == ":memory:":
        raise ValueError(f"{url!r} names no file: write sqlite:///cache.db, or memory:// for no file")
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
    from urllib.parse import parse_qsl, urlsplit

    options: dict[str, Any] = {}
    parts = urlsplit(url)
    if parts.fragment:
        raise ValueError(f"{url!r}: a number sign in a path is written %23")
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name not in known:
            raise ValueError(f"{url!r}: unknown option {name!r}, there are {', '.join(sorted(known))}")
        try:
            options[name] = known[name](text)
        except ValueError:
            raise ValueError(f"{url!r}: {name}={text!r} must be a number") from None
    return options


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
