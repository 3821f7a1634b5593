"""PostgreSQL addresses: what is for the connection, what is for `PostgresBackend`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from semantic_llm_cache.redaction import scheme_of
from semantic_llm_cache.storage.urls import split_server, unknown_option, yes_or_no

__all__ = ["SCHEMES", "Address", "parse"]

SCHEMES = ("postgresql", "postgres")
"""What a PostgreSQL address may begin with."""

_ARGUMENTS: dict[str, Callable[[str], Any]] = {
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
    arguments: dict[str, Any] = {}
    connection: list[tuple[str, str]] = []
    named: dict[str, str] = {}
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name in _ARGUMENTS:
            try:
                arguments[name] = _ARGUMENTS[name](text)
            except (ValueError, OverflowError):
                what = "yes or no" if _ARGUMENTS[name] is yes_or_no else "a number"
                raise ValueError(f"{scheme}://...: the option {name} must be {what}") from None
        elif name in _CONNECTION:
            connection.append((name, text))
            named[name] = text
        else:
            raise ValueError(unknown_option(url, name, {*_ARGUMENTS, *_CONNECTION}))
    if "@" in named.get("host", "") or any(
        sign in named.get(name, "") for name in ("dbname", "database") for sign in "@=:"
    ):
        raise ValueError(f"{scheme}://...: host= and dbname= are names, not addresses of their own")
    _, _, location = parts.netloc.rpartition("@")
    hosts = [_check_host(scheme, one) for one in location.split(",")] if location else []
    shown_hosts = ",".join(hosts) or quote(named.get("host", ""), safe="/,:") or "localhost"
    database = parts.path.strip("/") or quote(named.get("dbname", named.get("database", "")))
    dsn = urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(connection), ""))
    return Address(dsn, arguments, f"postgresql://{shown_hosts}{'/' + database if database else ''}")


def _check_host(scheme: str, text: str) -> str:
    try:
        _ = urlsplit(f"//{text}").port
    except ValueError:
        raise ValueError(f"{scheme}://...: what follows the user name and password is not a host and a port") from None
    return text
