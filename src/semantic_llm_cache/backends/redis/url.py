"""Redis addresses: one server, sentinels, a cluster, a socket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from semantic_llm_cache.redaction import scheme_of
from semantic_llm_cache.storage.urls import host_and_port, read_options, split_server, yes_or_no

__all__ = ["OPTIONS", "SCHEMES", "Address", "parse"]

SCHEMES = (
    "redis", "rediss", "unix", "redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel",
)  # fmt: skip
"""What a Redis address may begin with."""

_KINDS = {"": "single", "cluster": "cluster", "sentinel": "sentinel"}


# Options for the connections, by redis-py's names.
_CONNECTION: dict[str, Callable[[str], Any]] = {
    "ssl_ca_certs": str,
    "ssl_certfile": str,
    "ssl_keyfile": str,
    "ssl_keyfile_password": str,
    "ssl_cert_reqs": str,
    "ssl_check_hostname": yes_or_no,
    "client_name": str,
    "health_check_interval": float,
}
_SENTINEL: dict[str, Callable[[str], Any]] = {"sentinel_username": str, "sentinel_password": str}
OPTIONS: dict[str, Callable[[str], Any]] = {
    "prefix": str,
    "search": str,
    "shards": int,
    "timeout": float,
    "connect_timeout": float,
    "max_connections": int,
    "front_size": int,
    "front_seconds": float,
}
"""The arguments of `RedisBackend` that a URL may give, and how each is read."""


@dataclass(frozen=True)
class Address:
    """What a URL says.

    Attributes:
        kind: ``single``, ``cluster`` or ``sentinel``.
        hosts: (host, port) of the server, of some nodes, or of the sentinels.
        path: of a socket, instead of hosts.
        master: name that the sentinels know the servers by.
        connection: keyword arguments for the client's connections, password included.
        sentinel: the same for the connections to the sentinels.
        arguments: keyword arguments for `RedisBackend`.
        shown: the URL without credentials and options.
    """

    kind: str
    hosts: tuple[tuple[str, int], ...]
    path: str | None
    master: str
    connection: dict[str, Any] = field(repr=False)
    sentinel: dict[str, Any] = field(repr=False)
    arguments: dict[str, Any]
    shown: str


def parse(url: str) -> Address:
    """Return what `url` says.

    Raises:
        ValueError: what is wrong; the message holds neither password nor options.
    """
    scheme = scheme_of(url)[:-3]
    if scheme not in SCHEMES:
        raise ValueError(f"a Redis address begins with {'://, '.join(SCHEMES)}://")
    parts = split_server(url)
    base, _, suffix = scheme.partition("+")
    kind = _KINDS[suffix]
    login, _, location = parts.netloc.rpartition("@")
    known: dict[str, Callable[[str], Any]] = {**_CONNECTION, **OPTIONS, "db": int}
    if kind == "sentinel":
        known.update(_SENTINEL)
    options = read_options(url, parts.query, known)
    arguments = {name: options.pop(name) for name in OPTIONS if name in options}
    sentinel = {name.removeprefix("sentinel_"): options.pop(name) for name in _SENTINEL if name in options}
    db = options.pop("db", None)
    connection = {**_login(login), **options}
    if base == "unix":
        path = unquote(parts.path)
        if not path or location:
            raise ValueError("unix:///path/to/redis.sock takes three slashes, a path and no host")
        connection["db"] = db or 0
        return Address("single", (), path, "", connection, {}, arguments, f"unix://{quote(path)}")
    if base == "rediss":
        connection["ssl"] = sentinel["ssl"] = True
        sentinel.update({name: value for name, value in connection.items() if name.startswith("ssl")})
    hosts = tuple(_host(url, one, 26379 if kind == "sentinel" else 6379) for one in location.split(","))
    if kind == "single" and len(hosts) > 1:
        raise ValueError(f"{scheme}:// takes one host: for several nodes write {scheme}+cluster://")
    master, db = _place(scheme, kind, parts.path.strip("/"), db)
    if kind != "cluster":
        connection["db"] = db
    listed = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in hosts)
    tail = "" if kind == "cluster" else f"/{db}"
    shown = f"{scheme}://{listed}{'/' + master if master else ''}{tail}"
    return Address(kind, hosts, None, master, connection, sentinel, arguments, shown)


def _login(text: str) -> dict[str, Any]:
    username, _, password = text.partition(":")
    return {name: unquote(value) for name, value in (("username", username), ("password", password)) if value}


def _place(scheme: str, kind: str, path: str, db: int | None) -> tuple[str, int]:
    """Return the master's name (for sentinels) and the database number, from the path and the option."""
    master = ""
    if kind == "sentinel":
        master, _, path = path.partition("/")
        if not master:
            raise ValueError(f"{scheme}://host:26379/NAME: the name that the sentinels know the servers by is missing")
    if path:
        if not path.isdecimal() or db is not None:
            raise ValueError(f"{scheme}://...: what follows the host must be the number of the database, once")
        db = int(path)
    if kind == "cluster" and db:
        raise ValueError(f"{scheme}://...: a cluster has only database 0")
    return master, db or 0


def _host(url: str, text: str, default: int) -> tuple[str, int]:
    host, port = host_and_port(url, text)
    return host or "localhost", default if port is None else port
