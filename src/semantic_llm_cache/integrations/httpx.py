"""The cache as a transport of httpx and httpx2: for any SDK that is built on them.

client = httpx.AsyncClient(transport=AsyncCachingTransport(similarity=0.95))
"""

from __future__ import annotations

import copy
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from semantic_llm_cache.arguments import kind_of
from semantic_llm_cache.calls.control import HEADER
from semantic_llm_cache.engine.driving import Steps, drive, drive_blocking
from semantic_llm_cache.integrations._carrier import carrier_of
from semantic_llm_cache.wire.cache import Plan, Reply, Upstream, WireCache
from semantic_llm_cache.wire.neutral import EXTENSIONS
from semantic_llm_cache.wire.strict import Bypass

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from semantic_llm_cache.wire.keywords import WireOptions

__all__ = ["AsyncCachingTransport", "CachingTransport", "wrap"]

C = TypeVar("C")

_SEEN = "semantic_llm_cache.seen"
_CONTROL = "cache_control"
_streams: dict[str, tuple[type, type]] = {}


class _Transport:
    """What both transports share. Requests and responses are of httpx or of httpx2, whichever the client is of."""

    _default = ""
    """Name of the inner transport's type, where none is given."""

    def __init__(self, transport: Any = None, *, door: WireCache | None = None, **options: Unpack[WireOptions]) -> None:
        self.door = _door_of(door, options)
        self._given = self._inner = transport
        self._carrier: str | None = None
        self._carrier_known = transport is None
        self.keep_alive: Any = None
        """Must live as long as this transport: the client that owns the inner one."""

    def __cache_scope__(self) -> tuple[Any, ...]:
        """As a field of an instance whose method is cached: the inner transport, and what the door shares."""
        return self._given, self.door  # not `_inner`, which may be made at the first request

    def _plan(self, request: Any, body: bytes) -> Steps:
        """Return the plan of a request, or why it bypasses the cache: see `WireCache.planning`."""
        for name in request.extensions:
            if name not in EXTENSIONS:
                return self.door.bypass(Bypass(f"the extension {name!r} may change where it goes or what it asks"))
        if not self._carrier_known:
            self._carrier, self._carrier_known = carrier_of(self._inner, self.door), True
        # One character for each byte: two values never become one.
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
        return (
            yield from self.door.planning(
                request.method, str(request.url), headers, body, request.extensions.get(_CONTROL), self._carrier
            )
        )

    def _handle(self, request: Any) -> Steps:
        """Answer from the cache, or have the inner transport send the request; return a response."""
        if self._inner is None:
            self._inner = getattr(_module_of(request), self._default)()
        inner = self._inner
        if request.extensions.get(_SEEN):
            return (yield _Pass(inner, request))
        plan: Plan | str = ""
        if request.method == "POST":
            try:
                body = request.content
            except _module_of(request).RequestNotRead:
                body = yield _Read(request)
            plan = yield from self._plan(request, body)
        if isinstance(plan, str):
            response = yield _Pass(inner, _cleaned(request))
            for name, value in self.door.bypassed(plan) if plan else ():
                response.headers[name] = value
            return response
        return _response(request, (yield from self.door.answering(plan, _Send(inner, request))))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._inner!r}>"


class _Read(NamedTuple):
    """Read the body of a request."""

    request: Any

    async def awaited(self) -> Any:
        return await self.request.aread()

    def blocking(self) -> Any:
        return self.request.read()


class _Pass(NamedTuple):
    """Have a transport send a request, and return the response as it is."""

    transport: Any
    request: Any

    async def awaited(self) -> Any:
        return await self.transport.handle_async_request(self.request)

    def blocking(self) -> Any:
        return self.transport.handle_request(self.request)


class _Send(NamedTuple):
    """Have a transport send a request, and return the response as `WireCache` wants it."""

    transport: Any
    request: Any

    async def awaited(self) -> Upstream:
        response = await self.transport.handle_async_request(_cleaned(self.request))
        return Upstream(response.status_code, _headers_of(response), response.aiter_bytes(), response.aclose)

    def blocking(self) -> Upstream:
        response = self.transport.handle_request(_cleaned(self.request))
        return Upstream(response.status_code, _headers_of(response), response.iter_bytes(), response.close)


class CachingTransport(_Transport):
    """A transport for plain clients that answers model calls from the cache.

    Args:
        transport: the one that makes the calls; None is an ``HTTPTransport()``.
        door: a `WireCache` that several transports share; else one is made from the options.
        options: of `WireCache`, and with it of `SemanticCache`: ``similarity``, ``ttl``, ``backend``, ...

    Responses say ``x-cache: HIT`` (``NEAR``, ``COALESCED``, ``STALE``, ``MISS``, ``BYPASS``), ``x-cache-similarity``,
    ``age`` and ``x-cache-id`` (`Lookup.id`, for `report_wrong`; not where the provider begins a stream, whose answer
    is stored later). A call controls the cache with the header ``x-cache-control``, or the request extension
    ``cache_control``; see `wire.CacheControl`. Requests that are not model calls pass through.
    """

    _default = "HTTPTransport"

    def handle_request(self, request: Any) -> Any:
        """Answer from the cache, or have the inner transport send the request."""
        return drive_blocking(self._handle(request))

    def close(self) -> None:
        """Close the inner transport."""
        if self._inner is not None:
            self._inner.close()

    def __enter__(self) -> CachingTransport:
        if self._inner is not None:
            self._inner.__enter__()
        return self

    def __exit__(self, *exc: Any) -> None:
        if self._inner is not None:
            self._inner.__exit__(*exc)


class AsyncCachingTransport(_Transport):
    """`CachingTransport` for async clients; the inner transport is an ``AsyncHTTPTransport()`` if not given."""

    _default = "AsyncHTTPTransport"

    async def handle_async_request(self, request: Any) -> Any:
        """Answer from the cache, or have the inner transport send the request."""
        return await drive(self._handle(request))

    async def aclose(self) -> None:
        """Close the inner transport."""
        if self._inner is not None:
            await self._inner.aclose()

    async def __aenter__(self) -> AsyncCachingTransport:
        if self._inner is not None:
            await self._inner.__aenter__()
        return self

    async def __aexit__(self, *exc: Any) -> None:
        if self._inner is not None:
            await self._inner.__aexit__(*exc)


def wrap(client: C, *, door: WireCache | None = None, **options: Unpack[WireOptions]) -> C:
    """Return an httpx or httpx2 client like `client`, whose model calls go through the cache.

    The transports, and with them the connections, are those of `client`, which is left as it is.

    Args:
        client: a ``Client`` or ``AsyncClient`` of either package.
        door: a `WireCache` that several clients share; else one is made from the options.
        options: of `WireCache`, and with it of `SemanticCache`.

    Raises:
        TypeError: `client` is something else, or options are given beside a door.
        ValueError, TypeError: naming the option.
    """
    given: Any = client
    transport = getattr(given, "_transport", None)
    if hasattr(transport, "handle_async_request") and hasattr(given, "aclose"):
        kind: Any = AsyncCachingTransport
    elif hasattr(transport, "handle_request"):
        kind = CachingTransport
    else:
        raise TypeError(
            f"client= must be a client of httpx or httpx2, such as httpx.AsyncClient(), not {kind_of(client)}"
        )
    shared = _door_of(door, options)

    def cached(inner: Any) -> Any:
        if inner is None:
            return None
        made = kind(inner, door=shared)
        made.keep_alive = given  # an SDK's client closes its connections when it is garbage collected
        return made

    wrapped = copy.copy(given)
    # The copy must close shared connections only when `close` is called, not when it is garbage collected.
    wrapped.__class__ = next(k for k in type(given).__mro__ if not hasattr(k, "__del__"))
    wrapped._transport = cached(transport)
    wrapped._mounts = {pattern: cached(inner) for pattern, inner in given._mounts.items()}
    result: C = wrapped
    return result


def _door_of(door: WireCache | None, options: Mapping[str, Any]) -> WireCache:
    if door is None:
        return WireCache(**options)
    if options:
        raise TypeError(f"door= and {next(iter(options))}=: options are given to the door itself")
    return door


def _cleaned(request: Any) -> Any:
    """Remove what only the cache reads, and mark the request so that an inner `CachingTransport` passes it on."""
    if HEADER in request.headers:
        del request.headers[HEADER]
    request.extensions = {k: v for k, v in request.extensions.items() if k != _CONTROL} | {_SEEN: True}
    return request


def _module_of(request: Any) -> Any:
    return sys.modules[type(request).__module__.partition(".")[0]]


def _headers_of(message: Any) -> list[tuple[str, str]]:
    # By the raw pairs: `multi_items` looks at the encoding of all headers again for each of them.
    return [(name.decode("latin-1"), _decoded(value)) for name, value in message.headers.raw]


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _response(request: Any, reply: Reply) -> Any:
    module = _module_of(request)
    if isinstance(reply.body, bytes):
        return module.Response(reply.status, headers=reply.headers, content=reply.body, request=request)
    plain, waited = _stream_types(module)
    kind = waited if hasattr(reply.body, "__anext__") else plain
    return module.Response(reply.status, headers=reply.headers, stream=kind(reply.body), request=request)


def _stream_types(module: Any) -> tuple[type, type]:
    """Return the types of response streams, plain and async, for httpx or for httpx2."""
    name = module.__name__
    if name not in _streams:

        class Plain(module.SyncByteStream):  # type: ignore[misc]
            def __init__(self, body: Any) -> None:
                self.body = body

            def __iter__(self) -> Iterator[bytes]:
                yield from self.body

            def close(self) -> None:
                self.body.close()

        class Waited(module.AsyncByteStream):  # type: ignore[misc]
            def __init__(self, body: Any) -> None:
                self.body = body

            async def __aiter__(self) -> AsyncIterator[bytes]:
                async for part in self.body:
                    yield part

            async def aclose(self) -> None:
                await self.body.aclose()

        _streams[name] = Plain, Waited
    return _streams[name]
