"""Headers of requests and responses: what is read, what counts, what is passed on."""

from __future__ import annotations

import re
from collections.abc import Iterable

from semantic_llm_cache.calls.control import HEADER, CacheControl
from semantic_llm_cache.server.proxy.refusals import Refusal
from semantic_llm_cache.wire import neutral

__all__ = [
    "CREDENTIALS",
    "FORWARDING",
    "UNUSABLE",
    "Head",
    "Pairs",
    "as_bytes",
    "read_control",
    "read_head",
    "response_headers",
    "to_upstream",
]

Pairs = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""RFC 9110, 7.6.1: they concern one connection, and are not passed on."""

FORWARDING: dict[bytes, str] = {
    b"forwarded": "where a proxy in front got the request from",
    b"x-forwarded-for": "where a proxy in front got the request from",
    b"x-forwarded-host": "where a proxy in front got the request from",
    b"x-forwarded-port": "where a proxy in front got the request from",
    b"x-forwarded-proto": "where a proxy in front got the request from",
    b"x-forwarded-prefix": "where a proxy in front got the request from",
    b"x-forwarded-server": "where a proxy in front got the request from",
    b"x-real-ip": "where a proxy in front got the request from",
    b"via": "the proxies that the request has passed",
}
"""Headers of other proxies, each with what it says. They are not passed on, so they do not count."""

CREDENTIALS = frozenset(name.encode() for name in neutral.CREDENTIALS)
"""Headers that carry a caller's credential."""

_OWN_CONTROL = HEADER.encode()
_LEFT_OUT = frozenset(FORWARDING) | {b"cache-control", b"pragma", _OWN_CONTROL, b"host", b"expect"}
_NOT_SENT = HOP_BY_HOP | {b"content-length", b"accept-encoding"}
UNUSABLE = _LEFT_OUT | _NOT_SENT - {b"proxy-authorization"} | {b"content-type", b"content-encoding"}
"""Headers that say something else already, so that no setting can give them another meaning."""
_OWN_RESPONSE = frozenset({b"date", b"server", b"content-length", b"alt-svc", b"strict-transport-security"})
"""The server in front writes its own: they are about the host that answers, and clients would take it for this one."""
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

_MOST_HEADERS = 100

_FLAGS = {"no-cache": "no_cache", "no-store": "no_store", "only-if-cached": "only_if_cached"}


class Head:
    """What the headers of a request say.

    Attributes:
        counting: names and values that may count in the key, without those that are not passed on.
        credentials: the values of headers that carry one.
        control: what the caller asks of the cache, None for nothing.
        length: the announced length of the body in bytes, None if it is not announced.
        chunked: whether the body comes in chunks.
        nominated: names that the ``connection`` header names: they are not passed on.
    """

    __slots__ = ("chunked", "control", "counting", "credentials", "length", "nominated")

    @property
    def may_call(self) -> bool:
        """Whether the upstream may be asked; also where the directives cannot all be read."""
        if isinstance(self.control, str):
            return "only-if-cached" not in {part.strip().lower() for part in self.control.split(",")}
        return self.control is None or self.control.may_call

    def __init__(self) -> None:
        self.counting: Pairs = []
        self.credentials: list[bytes] = []
        self.control: CacheControl | str | None = None
        self.length: int | None = None
        self.chunked = False
        self.nominated: frozenset[bytes] = frozenset()


def read_head(headers: Pairs, most: int) -> Head:
    """Read the headers of a request, with names in lower case.

    Args:
        headers: as they came.
        most: bytes that they may have together.

    Raises:
        Refusal: too many headers, or lengths that servers could read differently, so that one request could hide
            another.
    """
    head, size = Head(), 0
    asked: list[str] = []
    own: list[str] = []
    for pair in headers:
        name, value = pair
        size += len(name) + len(value)
        if name == b"content-length":
            head.length = _length(value, head)
        elif name in _LEFT_OUT:
            if name == b"cache-control":
                asked.append(value.decode("latin-1"))
            elif name == _OWN_CONTROL:
                own.append(value.decode("latin-1"))
        else:
            head.counting.append(pair)
            if name in CREDENTIALS:
                head.credentials.append(value)
            elif name == b"transfer-encoding":
                if value.strip().lower() != b"chunked" or head.chunked:
                    raise Refusal(501, "transfer-encoding must be chunked, given once", close=True)
                head.chunked = True
            elif name == b"connection":
                head.nominated |= _nominated(value)
    if size > most or len(headers) > _MOST_HEADERS:
        raise Refusal(431, f"a request may have {_MOST_HEADERS} headers of {most:,} bytes together", close=True)
    if _CONTROL.search(b"".join([value for _, value in headers])):
        raise Refusal(400, "a header holds a control character", close=True)
    if head.chunked and head.length is not None:
        raise Refusal(400, "a request has content-length and transfer-encoding: send one of them", close=True)
    if own:
        # Both headers are obeyed: no-store in one holds, whatever the other says.
        head.control = ", ".join([*own, *_directives(read_control(asked))])
    elif asked:
        head.control = read_control(asked)
    return head


def _directives(control: CacheControl | None) -> list[str]:
    """Return what `read_control` has read as directives again."""
    if control is None:
        return []
    found = [text for text, name in _FLAGS.items() if getattr(control, name)]
    return found if control.max_age is None else [*found, f"max-age={control.max_age:.0f}"]


def _length(value: bytes, head: Head) -> int:
    if not value.isdigit() or len(value) > 18:
        raise Refusal(400, "content-length must be a whole number of bytes", close=True)
    length = int(value)
    if head.length is not None:
        raise Refusal(400, "content-length is given twice: send it once", close=True)
    return length


def _nominated(value: bytes) -> frozenset[bytes]:
    return frozenset(part.strip().lower() for part in value.split(b",")) - {b"close", b"keep-alive", b""}


def read_control(values: Iterable[str]) -> CacheControl | None:
    """Return what the standard ``cache-control`` header of a request asks for; None for nothing.

    Directives that are not known, or whose value cannot be read, are ignored, as RFC 9111 says (5.2.3).

    Example:
        >>> read_control(["no-cache, no-transform"]).no_cache
        True
    """
    found: dict[str, bool | float] = {}
    for part in ",".join(values).split(","):
        name, _, value = part.strip().partition("=")
        name, value = name.strip().lower(), value.strip().strip('"')
        if name in _FLAGS:
            found[_FLAGS[name]] = True
        elif name == "max-age" and value.isascii() and value.isdigit():
            if not value.strip("0"):  # int() refuses thousands of digits
                found["no_cache"] = True
            else:
                found["max_age"] = min(float(value[:20]), found.get("max_age", 1e20))
    return CacheControl(**found) if found else None  # type: ignore[arg-type]


def to_upstream(head: Head, drop: frozenset[bytes], encodings: bytes | None) -> Pairs:
    """Return the headers that are sent to an upstream, without host and framing.

    Args:
        head: of the request.
        drop: further names that are not sent.
        encodings: the ``accept-encoding`` to send in place of the caller's; None keeps the caller's.
    """
    skipped = _NOT_SENT | drop | head.nominated if head.nominated or drop else _NOT_SENT
    sent = [pair for pair in head.counting if pair[0] not in skipped]
    if encodings is not None:
        sent.append((b"accept-encoding", encodings))
    else:
        sent += [pair for pair in head.counting if pair[0] == b"accept-encoding"]
    return sent


def response_headers(headers: Iterable[tuple[bytes, bytes]], keep: frozenset[bytes] = frozenset()) -> Pairs:
    """Return the headers of an upstream's response that reach the caller, with names in lower case.

    Args:
        headers: as they came.
        keep: names to keep that are otherwise left to the server in front, such as ``content-length``.
    """
    pairs = [(name.lower(), value) for name, value in headers]
    nominated = frozenset().union(*(_nominated(value) for name, value in pairs if name == b"connection"))
    skipped = (HOP_BY_HOP | _OWN_RESPONSE | nominated) - keep
    return [pair for pair in pairs if pair[0] not in skipped]


def as_bytes(headers: Iterable[tuple[str, str]]) -> Pairs:
    """Return headers as bytes, with names in lower case; text beyond Latin-1 is sent as UTF-8."""
    found = []
    for name, value in headers:
        try:
            data = value.encode("latin-1")
        except UnicodeEncodeError:
            data = value.encode("utf-8", "surrogateescape")
        found.append((name.lower().encode("latin-1"), data))
    return found
