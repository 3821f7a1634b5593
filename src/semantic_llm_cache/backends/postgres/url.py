"""PostgreSQL addresses: what is for the connection, what is for `PostgresBackend`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlunsplit

from semantic_llm_cache.redaction import scheme_of
from semantic_llm_cache.storage.urls import host_and_port, read_options, split_server, yes_or_no

__all__ = ["OPTIONS", "SCHEMES", "Address", "parse"]

SCHEMES = ("postgresql", "postgres")
"""What a PostgreSQL address may begin with."""

OPTIONS: dict[str, Callable[[str], Any]] = {
    "schema": str,
    "prefix": str,
    "pool_min": int,
    "pool_max": int,
    "timeout": float,
    "connect_timeout": float,
    "prepared_statements": yes_or_no,
    "front_size": int,
    "front_seconds": float,
    "max_size": int,
    "eviction": str,
}
"""The arguments of `PostgresBackend` that a URL may give, and how each is read."""
_CONNECTION = frozenset(  # libpq's
    (
        "application_name",
        "database",
        "dbname",
        "gsslib",
        "host",
        "krbsrvname",
        "passfile",
        "password",
        "port",
        "service",
        "servicefile",
        "ssl",
        "ssl_max_protocol_version",
        "ssl_min_protocol_version",
        "sslcert",
        "sslcrl",
        "sslkey",
        "sslmode",
        "sslnegotiation",
        "sslpassword",
        "sslrootcert",
        "target_session_attrs",
        "user",
    )
)


@dataclass(frozen=True)
class Address:
    """What a URL says.

    Attributes:
        dsn: the URL for the driver, password included.
        arguments: keyword arguments for `PostgresBackend`.
        shown: the URL without credentials and options.
    """

    dsn: str = field(repr=False)
    arguments: dict[str, Any]
    shown: str


def parse(url: str) -> Address:
    """Return what `url` says.

    Raises:
        ValueError: what is wrong; the message holds neither password nor options.
    """
    scheme = scheme_of(url)[:-3]
    if scheme not in SCHEMES:
        raise ValueError("a PostgreSQL address begins with postgresql://")
    parts = split_server(url)
    options = read_options(url, parts.query, {**dict.fromkeys(_CONNECTION, str), **OPTIONS})
    arguments = {name: options.pop(name) for name in OPTIONS if name in options}
    named: dict[str, str] = options
    if "@" in named.get("host", "") or any(
        sign in named.get(name, "") for name in ("dbname", "database") for sign in "@=:"
    ):
        raise ValueError(f"{scheme}://...: host= and dbname= are names, not addresses of their own")
    _, _, location = parts.netloc.rpartition("@")
    for host in location.split(","):
        host_and_port(url, host)
    shown_hosts = location or quote(named.get("host", ""), safe="/,:") or "localhost"
    database = parts.path.strip("/") or quote(named.get("dbname", named.get("database", "")))
    dsn = urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(named), ""))
    return Address(dsn, arguments, f"postgresql://{shown_hosts}{'/' + database if database else ''}")
