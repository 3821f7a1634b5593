"""Sending requests to upstreams."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import httpx

from semantic_llm_cache.server.proxy.headers import CREDENTIALS, Pairs, response_headers
from semantic_llm_cache.server.proxy.refusals import Refusal
from semantic_llm_cache.server.proxy.routing import Target
from semantic_llm_cache.wire.cache import Upstream

__all__ = ["ENCODINGS", "Forwarder", "Key", "Outgoing", "Timeouts"]

_log = logging.getLogger("semantic_llm_cache")

ENCODINGS = b"gzip, deflate"
"""What this process can undo, without further packages. Answers are kept as they are, without a coding."""
_READ = frozenset({"", "identity", "gzip", "deflate"})
_LARGEST_STATUS = 599
_PIECE = 256 * 1024
"""Bytes of a body that are sent at once."""


@dataclass(frozen=True)
class Key:
    """The server's own key for an upstream.

    Attributes:
        variable: the environment variable that holds it.
        header: that it is sent in, in lower case.
    """

    variable: str
    header: str

    @property
    def pair(self) -> tuple[bytes, bytes]:
        """The header that carries the key, read from the environment now: it may be rotated there.

        Raises:
            Refusal: the variable is not set.
        """
        value = os.environ.get(self.variable, "").strip()
        if not value:
            raise Refusal(502, f"the server has no key for this upstream: set its environment variable {self.variable}")
        text = f"Bearer {value}" if self.header == "authorization" else value
        return self.header.encode(), text.encode()


@dataclass(frozen=True)
class Timeouts:
    """Limits of time, in seconds.

    Attributes:
        connect: to open a connection.
        read: between two pieces of an answer.
    """

    connect: float
    read: float


@dataclass(frozen=True)
class Outgoing:
    """A request as it is sent.

    Attributes:
        method: of HTTP.
        target: where it goes.
        query: as it came, without the question mark.
        headers: without host and framing.
        body: its bytes, or an async iterator of them.
        length: of a body that is an iterator, in bytes; None for chunks.
    """

    method: str
    target: Target
    query: bytes
    headers: Pairs
    body: bytes | AsyncIterator[bytes]
    length: int | None = None


class Forwarder:
    """Sends requests to upstreams, over connections that are kept.

    Redirects are not followed, cookies are not kept, and the environment's proxy variables are not read.

    Args:
        keys: the server's own keys, by the names of upstreams.
        timeouts: of each request.
    """

    def __init__(self, keys: Mapping[str, Key], timeouts: Timeouts) -> None:
        self._keys = keys
        self._extensions = {
            "timeout": {"connect": timeouts.connect, "read": timeouts.read, "write": timeouts.read, "pool": None}
        }
        self._transport: httpx.AsyncHTTPTransport | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def _opened(self) -> httpx.AsyncHTTPTransport:
        loop = asyncio.get_running_loop()
        if self._transport is None or self._loop is not loop:  # its connections belong to one event loop
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=30)
            self._transport, self._loop = httpx.AsyncHTTPTransport(limits=limits, trust_env=False), loop
        return self._transport

    def has_key(self, name: str) -> bool:
        """Return whether the server has a key of its own for an upstream."""
        return name in self._keys

    async def send(self, outgoing: Outgoing) -> httpx.Response:
        """Send a request, and return the response once its headers are here.

        Raises:
            Refusal: 502 or 504: the upstream did not answer, with the reason as RFC 9209 names it.
        """
        headers = list(outgoing.headers)
        key = self._keys.get(outgoing.target.place.name)
        if key is not None:
            pair = key.pair
            headers = [one for one in headers if one[0] not in CREDENTIALS and one[0] != pair[0]]
            headers.append(pair)
        if isinstance(outgoing.body, bytes):
            if outgoing.body or outgoing.method in ("POST", "PUT", "PATCH"):
                headers.append((b"content-length", str(len(outgoing.body)).encode()))
        elif outgoing.length is not None:
            headers.append((b"content-length", str(outgoing.length).encode()))
        else:
            headers.append((b"transfer-encoding", b"chunked"))
        target = outgoing.target
        path = target.path + b"?" + outgoing.query if outgoing.query else target.path
        try:
            url = httpx.URL(target.place.origin).copy_with(raw_path=path)
        except httpx.InvalidURL:  # it is too long
            raise Refusal(414, "the path and the query together are too long to be sent on") from None
        made = httpx.Request(
            outgoing.method,
            url,
            headers=[(b"host", url.netloc), *headers],
            stream=_Sent(outgoing.body),
            extensions=dict(self._extensions),
        )
        try:
            response = await self._opened().handle_async_request(made)
        except httpx.HTTPError as error:
            raise _refusal(error, target.place.name) from None
        if response.status_code > _LARGEST_STATUS:  # RFC 9110, 15: no such status is valid
            await response.aclose()
            raise _refusal(httpx.RemoteProtocolError("status"), target.place.name)
        return response

    async def send_cached(self, outgoing: Outgoing) -> Upstream:
        """Send a request whose answer may be stored; its body is decoded. Raises what `send` raises."""
        response = await self.send(outgoing)
        codings = response.headers.get("content-encoding", "").lower().replace("x-gzip", "gzip")
        if not all(coding.strip() in _READ for coding in codings.split(",")):
            await response.aclose()
            raise _refusal(httpx.DecodingError("content-encoding"), outgoing.target.place.name)
        if codings:
            response.headers["content-encoding"] = codings
        headers = [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in response_headers(response.headers.raw)
        ]
        return Upstream(response.status_code, headers, _pieces(response, outgoing.target.place.name), response.aclose)

    async def aclose(self) -> None:
        """Close all connections."""
        transport, self._transport = self._transport, None
        if transport is not None and self._loop is asyncio.get_running_loop():
            await transport.aclose()


class _Sent(httpx.AsyncByteStream):
    def __init__(self, body: bytes | AsyncIterator[bytes]) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if isinstance(self._body, bytes):
            for start in range(0, len(self._body), _PIECE):  # sent as one, a large body holds up the event loop
                yield self._body[start : start + _PIECE]
            return
        async for part in self._body:
            yield part


async def _pieces(response: httpx.Response, name: str) -> AsyncIterator[bytes]:
    try:
        async for part in response.aiter_bytes():
            yield part
    except httpx.HTTPError as error:
        raise _refusal(error, name) from None


def _refusal(error: httpx.HTTPError, name: str) -> Refusal:
    """Return what the caller gets in place of an upstream's answer."""
    status, word, text = _meaning(error)
    _log.warning("upstream %r: %s (%s)", name, text, type(error).__name__)
    return Refusal(
        status,
        f"the upstream {name!r} {text}",
        (("proxy-status", f"semantic-llm-cache; error={word}"),),
    )


def _meaning(error: httpx.HTTPError) -> tuple[int, str, str]:
    if isinstance(error, httpx.ConnectTimeout):
        return 504, "connection_timeout", "did not accept a connection in time"
    if isinstance(error, httpx.TimeoutException):
        return 504, "http_response_timeout", "did not answer in time"
    if isinstance(error, httpx.ConnectError):
        return 502, "destination_unavailable", "cannot be reached"
    if isinstance(error, httpx.DecodingError):
        return 502, "http_response_content_coding", "sent a body in a coding that cannot be read"
    if isinstance(error, httpx.ProtocolError):
        return 502, "http_protocol_error", "broke the connection, or sent something that is not HTTP"
    return 502, "connection_terminated", "broke the connection"
