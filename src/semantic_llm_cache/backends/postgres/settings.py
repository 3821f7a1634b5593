"""What `PostgresBackend` is given, checked: the address, the connection, the tables and the bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from semantic_llm_cache.backends.checks import check_bound, check_seconds, check_whole
from semantic_llm_cache.backends.eviction import check_policy
from semantic_llm_cache.backends.postgres.link import Connecting
from semantic_llm_cache.backends.postgres.names import Names, check_identifier
from semantic_llm_cache.backends.postgres.pool import need_asyncpg
from semantic_llm_cache.backends.postgres.url import parse
from semantic_llm_cache.storage.front import Front
from semantic_llm_cache.storage.urls import merged

__all__ = ["Settings"]

_DEFAULTS: dict[str, Any] = {
    "schema": "semantic_llm_cache",
    "prefix": "",
    "pool_min": 1,
    "pool_max": 10,
    "timeout": 5.0,
    "connect_timeout": 2.0,
    "prepared_statements": True,
    "front_size": 1024,
    "front_seconds": 1.0,
    "max_size": None,
    "eviction": "lru",
}
"""Used where neither the argument nor the option in the URL is given."""


@dataclass(frozen=True)
class Settings:
    """The settings of one `PostgresBackend`; see there.

    Attributes:
        url: the address without credentials and options.
        names: of the tables, in their schema and with their prefix.
        connecting: how to connect.
        front: a new, empty one.
        max_size, eviction: the bound, and what goes first.
    """

    url: str
    names: Names
    connecting: Connecting
    front: Front
    max_size: int | None
    eviction: str

    @classmethod
    def read(cls, url: str, given: Mapping[str, Any]) -> Settings:
        """Return the settings of a URL and of the arguments that are not None.

        Raises:
            ValueError, TypeError: one is not possible; the message names it.
            CacheBackendError: the package asyncpg is not installed.
        """
        if not isinstance(url, str):
            raise TypeError(f"url must be text, not {type(url).__name__}: postgresql://user:password@host/database")
        address = parse(url)
        need_asyncpg()
        options = merged(_DEFAULTS, address.arguments, given)
        schema = check_identifier(options["schema"], "schema")
        prefix = check_identifier(options["prefix"], "prefix", empty=True)
        most = check_whole(options["pool_max"], "pool_max", 1)
        least = check_whole(options["pool_min"], "pool_min", 0)
        if least > most:
            raise ValueError(f"pool_min={least} must not be more than pool_max={most}")
        if not isinstance(options["prepared_statements"], bool):
            raise TypeError(f"prepared_statements={options['prepared_statements']!r} must be True or False")
        connecting = Connecting(
            dsn=address.dsn,
            timeout=check_seconds(options["timeout"], "timeout"),
            connect_timeout=check_seconds(options["connect_timeout"], "connect_timeout"),
            pool_min=least,
            pool_max=most,
            prepared=options["prepared_statements"],
        )
        return cls(
            url=address.shown,
            names=Names(schema, prefix),
            connecting=connecting,
            front=Front(options["front_size"], options["front_seconds"]),
            max_size=check_bound(options["max_size"], "max_size"),
            eviction=check_policy(options["eviction"]),
        )
