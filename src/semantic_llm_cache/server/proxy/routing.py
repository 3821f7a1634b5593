"""Where a request goes: upstreams are fixed, and a request can only choose among them and name a path there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from semantic_llm_cache.server.proxy.refusals import Refusal
from semantic_llm_cache.wire.base import Format
from semantic_llm_cache.wire.formats import find_format

__all__ = ["DEFAULT", "Place", "Routes", "Target", "check_query"]

DEFAULT = "default"
"""The name of the upstream that takes all paths which begin with no other upstream's name."""

_MOST_KNOWN = 1024
_ODD = re.compile(rb"[^\x21-\x7e]|[\\\"<>^`{|}#]")
_ODD_IN_QUERY = re.compile(rb"[^\x21-\x7e]|#")
_ESCAPE = re.compile(rb"%(.{0,2})", re.DOTALL)
_HEX = re.compile(rb"[0-9A-Fa-f]{2}")
_DOTS = frozenset({b".", b".."})


@dataclass(frozen=True)
class Place:
    """An upstream.

    Attributes:
        name: under which it is configured.
        origin: scheme, host and port: ``"https://api.openai.com"``.
        base: its path, without a slash at the end: ``"/v1"`` or ``""``.
    """

    name: str
    origin: str
    base: str

    @classmethod
    def of(cls, name: str, url: str) -> Place:
        """Return the upstream at a URL that was checked."""
        parts = urlsplit(url)
        return cls(name, f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/"))


@dataclass(frozen=True)
class Target:
    """Where a path leads.

    Attributes:
        place: the upstream.
        path: at the upstream, as it is sent.
        url: whole, without a query.
        known: the format spoken there, None where nothing is cached.
    """

    place: Place
    path: bytes
    url: str
    known: Format | None


class Routes:
    """Finds the target of a path.

    Args:
        places: upstreams by name.

    A path that begins with an upstream's name goes there, without the name; any other goes to the default upstream.
    Where a path already begins with the upstream's own path, that is not put before it again: ``/v1/models`` and
    ``/models`` both reach ``https://api.openai.com/v1/models``.

    Example:
        >>> routes = Routes({"default": Place.of("default", "https://host/v1")})
        >>> routes.find(b"/models").url, routes.find(b"/v1/models").url
        ('https://host/v1/models', 'https://host/v1/models')
    """

    def __init__(self, places: Mapping[str, Place]) -> None:
        self._places = {name.encode(): place for name, place in places.items() if name != DEFAULT}
        self._default = places.get(DEFAULT)
        self._known: dict[bytes, Target] = {}

    def find(self, path: bytes) -> Target:
        """Return the target of a path, as it came, without the query.

        Raises:
            Refusal: a path that servers could read in different ways, or that leads to no upstream.
        """
        found = self._known.get(path)
        if found is None:
            _check(path)
            found = self._found(path)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[path] = found
        return found

    def _found(self, path: bytes) -> Target:
        first, _, rest = path[1:].partition(b"/")
        place = self._places.get(first)
        if place is not None:
            path = b"/" + rest
            if path.startswith(b"//"):
                raise Refusal(400, "two slashes follow the name of the upstream")
        elif self._default is not None:
            place = self._default
        else:
            names = ", ".join(f"/{name.decode()}/" for name in self._places)
            raise Refusal(404, f"no upstream has this path: begin it with one of {names}")
        base = place.base.encode()
        if path != base and not path.startswith(base + b"/"):
            path = base + path
        text = path.decode("ascii")
        return Target(place, path, place.origin + text, find_format(text))


def check_query(query: bytes) -> None:
    """Raise Refusal for a query that holds a fragment, or bytes that no URL has.

    What stands behind a ``#`` does not count in the key, so it must not reach the upstream either.
    """
    if _ODD_IN_QUERY.search(query):
        raise Refusal(400, "the query holds a character that must be escaped")


def _check(path: bytes) -> None:
    """Raise Refusal for a path that two servers may read differently."""
    if not path.startswith(b"/"):
        raise Refusal(400, "the request target must be a path that begins with /")
    if path.startswith(b"//"):
        raise Refusal(400, "the path begins with two slashes")
    if _ODD.search(path):
        raise Refusal(400, "the path holds a character that must be escaped")
    decoded = path
    for code in _ESCAPE.findall(path):
        if not _HEX.fullmatch(code):
            raise Refusal(400, "the path holds a % that begins no escape")
        byte = bytes([int(code, 16)])
        if byte in b"/\\%" or byte < b"\x20" or byte == b"\x7f":
            raise Refusal(400, "the path holds an escaped slash, percent sign or control character")
        if byte == b".":
            decoded = re.sub(b"%2e", b".", decoded, flags=re.IGNORECASE)
    if not _DOTS.isdisjoint(part.partition(b";")[0] for part in decoded.split(b"/")):
        raise Refusal(400, "the path holds a segment . or ..")
