"""`Proxy`: the ASGI app that answers model calls from the cache, and passes everything else on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from semantic_llm_cache.calls.control import NOT_CACHED
from semantic_llm_cache.calls.lookup import Lookup, last_lookup
from semantic_llm_cache.calls.refusals import because
from semantic_llm_cache.engine.driving import drive
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.server.proxy.bodies import Gone, Message, Receive, Send, drain, passing_body, whole_body
from semantic_llm_cache.server.proxy.doors import Doors
from semantic_llm_cache.server.proxy.forwarding import ENCODINGS, Forwarder, Outgoing
from semantic_llm_cache.server.proxy.headers import (
    CREDENTIALS,
    Head,
    Pairs,
    as_bytes,
    read_head,
    response_headers,
    to_upstream,
)
from semantic_llm_cache.server.proxy.refusals import Refusal, error_body
from semantic_llm_cache.server.proxy.routing import Routes, Target, check_query
from semantic_llm_cache.server.proxy.status import HIT, NAME, NOT_FORWARDED, cache_status
from semantic_llm_cache.server.proxy.tenants import Tenant, Tenants
from semantic_llm_cache.wire.cache import Plan, Reply, WireCache
from semantic_llm_cache.wire.large import LONG, apart
from semantic_llm_cache.wire.strict import NOT_UTF8, TOO_DEEP, Bypass, read_object

__all__ = ["Limits", "Proxy"]

_log = logging.getLogger("semantic_llm_cache")

Scope = Message

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_VERSIONS = frozenset({"1.0", "1.1", "2", "2.0", "3"})
_HAS_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_HIT = HIT.encode()
_STOPPING = Refusal(503, "the server stops, and could not finish this request: send it again", close=True)
_EMPTY = frozenset({204, 304})
"""Statuses of answers that have no body."""
_MALFORMED = frozenset(because("bypass", text) for text in (NOT_UTF8, TOO_DEEP))
"""Why a body bypasses the cache that no provider can read either."""


@dataclass(frozen=True)
class Limits:
    """What a request may be.

    Attributes:
        body: bytes of a model call, which is held in memory.
        upload: bytes of any other body, which is passed on as it comes.
        headers: bytes of all headers.
        seconds: for a body to arrive.
    """

    body: int
    upload: int
    headers: int
    seconds: float


class Proxy:
    """Answers requests from the cache, or passes them to an upstream.

    Args:
        routes: to the upstreams.
        doors: to the cache.
        tenants: who asks.
        forwarder: sends requests on.
        limits: of requests.
    """

    def __init__(self, routes: Routes, doors: Doors, tenants: Tenants, forwarder: Forwarder, limits: Limits) -> None:
        self.routes = routes
        self.doors = doors
        self.tenants = tenants
        self.forwarder = forwarder
        self.limits = limits
        self._dropped = tenants.dropped

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        answer = _Answer(send)
        name = ""
        try:
            self._check(scope)
            target = self.routes.find(_path_of(scope))
            name = "" if target.known is None else target.known.name
            check_query(scope["query_string"])
            head = read_head(scope["headers"], self.limits.headers)
            client = scope.get("client")
            tenant = self.tenants.of(head, None if client is None else client[0])
            exchange = _Exchange(self, scope, receive, answer, _Asked(target, head, tenant))
            if target.known is not None and scope["method"] == "POST":
                await exchange.cached()
            else:
                await exchange.passed()
        except Refusal as refusal:
            if not answer.begun:  # else the server closes the connection: the client must see that something is missing
                await answer.refuse(refusal, name, receive)
        except (Gone, _Broken):
            pass
        except asyncio.CancelledError:  # the server stops, and its time to finish answers is over
            # The task ends here: without this, the server in front says 500 and logs a traceback for each request.
            if not answer.begun:
                await answer.refuse(_STOPPING, name)
        except Exception as error:
            # The text of an exception may hold what was asked, so the server in front must not log it.
            _log.error("a request failed inside the proxy: %s", describe(error))
            if not answer.begun:
                await answer.refuse(Refusal(500, "the proxy failed: its log says where"), name)

    @staticmethod
    def _check(scope: Scope) -> None:
        if scope.get("http_version", "1.1") not in _VERSIONS:
            raise Refusal(505, "this version of HTTP is not spoken here: use HTTP/1.1", close=True)
        if scope["method"] not in METHODS:
            raise Refusal(
                405, f"this method is not passed on: use {', '.join(METHODS)}", (("allow", ", ".join(METHODS)),)
            )


def _path_of(scope: Scope) -> bytes:
    """Return the path as it came, below the place at which the app is mounted."""
    raw = scope.get("raw_path")
    path: bytes = quote(scope["path"], safe="/:@!$&'()*+,;=~").encode() if raw is None else raw.partition(b"?")[0]
    root = scope.get("root_path", "").encode()
    return path.removeprefix(root) if root and path.startswith(root + b"/") else path


@dataclass(frozen=True)
class _Asked:
    target: Target
    head: Head
    tenant: Tenant


class _Answer:
    """Sends one response."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def whole(self, status: int, headers: Pairs, body: bytes) -> None:
        if status in _EMPTY:
            body = b""
        else:
            headers.append((b"content-length", b"%d" % len(body)))
        self.begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    async def begin(self, status: int, headers: Pairs) -> None:
        self.begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def piece(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        await self._send({"type": "http.response.body", "body": data})

    async def refuse(self, refusal: Refusal, name: str, receive: Receive | None = None) -> None:
        headers = as_bytes([("content-type", "application/json"), *refusal.headers])
        if refusal.close:
            headers.append((b"connection", b"close"))
        body = error_body(name, refusal.status, refusal.message)
        if refusal.unread and receive is not None:
            headers.append((b"content-length", b"%d" % len(body)))
            await self.begin(refusal.status, headers)
            await self.piece(body)
            await drain(receive)
            await self.end()
        else:
            await self.whole(refusal.status, headers, body)


class _Broken(Exception):
    """An upstream broke off an answer that had begun; the connection to the client is broken off too."""


class _Exchange:
    """One request and its answer."""

    def __init__(self, proxy: Proxy, scope: Scope, receive: Receive, answer: _Answer, asked: _Asked) -> None:
        self._proxy = proxy
        self._scope = scope
        self._receive = receive
        self._answer = answer
        self._target = asked.target
        self._head = asked.head
        self._tenant = asked.tenant

    # ------------------------------------------------------------------------- model calls

    async def cached(self) -> None:
        """Answer a model call."""
        proxy, limits = self._proxy, self._proxy.limits
        body = await whole_body(self._receive, self._head, limits.body, limits.seconds)
        target = self._target
        assert target.known is not None
        model = await _model_of(body) if proxy.doors.by_model else ""
        door = proxy.doors.find(target.place.name, target.known.name, lambda: self._tenant.label, model)
        plan = await self._plan(door, body)
        if isinstance(plan, str):
            if plan in _MALFORMED:
                raise Refusal(400, f"{plan.partition(': ')[2]}: it is not passed on")
            if not self._head.may_call:
                raise _not_cached()
            said = door.bypassed(plan) if plan else []
            more = as_bytes([*said, ("cache-status", f"{NAME}; fwd=bypass")])
            await self._relayed(self._outgoing(body, None), more)
            return
        held = door.held(plan)
        if held is not None:
            await self._held(held, plan.asked.stream)
            return
        outgoing = self._outgoing(body, ENCODINGS)
        reply, found = await self._unless_gone(_answered(door, plan, lambda: proxy.forwarder.send_cached(outgoing)))
        headers = as_bytes(reply.headers)
        headers.append((b"cache-status", _status(plan, reply, found).encode()))
        if isinstance(reply.body, bytes):
            await self._answer.whole(reply.status, headers, reply.body)
        else:
            await self._stream(reply.status, headers, reply.body)

    async def _held(self, reply: Reply, stream: bool) -> None:
        """Send an exact hit that needed no waiting."""
        headers = as_bytes(reply.headers)
        headers.append((b"cache-status", _HIT))
        if stream:
            await self._answer.begin(200, headers)
            await self._answer.end(reply.body)
        else:
            await self._answer.whole(200, headers, reply.body)

    async def _plan(self, door: WireCache, body: bytes) -> Plan | str:
        target, head, tenant = self._target, self._head, self._tenant
        query = self._scope["query_string"]
        url = f"{target.url}?{query.decode('latin-1')}" if query else target.url
        counting = head.counting
        skipped = self._proxy._dropped if tenant.scope is None else self._proxy._dropped | CREDENTIALS
        if skipped:
            counting = [pair for pair in counting if pair[0] not in skipped]
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in counting]
        plan: Plan | str = await drive(door.planning("POST", url, headers, body, head.control, tenant.scope))
        if isinstance(plan, Plan):
            if self._proxy.forwarder.has_key(target.place.name):
                plan.sender = ()  # all are sent with the server's key
            elif tenant.scope is not None:
                plan.sender = tuple(head.credentials)
        return plan

    def _outgoing(self, body: bytes | AsyncIterator[bytes], encodings: bytes | None) -> Outgoing:
        headers = to_upstream(self._head, self._proxy._dropped, encodings)
        length = None if isinstance(body, bytes) else self._head.length
        return Outgoing(self._scope["method"], self._target, self._scope["query_string"], headers, body, length)

    # ------------------------------------------------------------------------- everything else

    async def passed(self) -> None:
        """Pass a request on, and its answer back, byte for byte."""
        limits = self._proxy.limits
        body: bytes | AsyncIterator[bytes] = b""
        received = None
        if self._head.chunked or self._head.length:
            received = asyncio.Event()
            body = _received(passing_body(self._receive, self._head, limits.upload, limits.seconds), received)
        word = "bypass" if self._scope["method"] in _HAS_BODY else "method"
        await self._relayed(self._outgoing(body, None), as_bytes([("cache-status", f"{NAME}; fwd={word}")]), received)

    async def _relayed(self, outgoing: Outgoing, more: Pairs, received: asyncio.Event | None = None) -> None:
        response = await self._unless_gone(self._proxy.forwarder.send(outgoing), received)
        framed = "transfer-encoding" in response.headers or response.status_code == 204
        keep = frozenset() if framed else frozenset({b"content-length"})
        headers = response_headers(response.headers.raw, keep)
        try:
            await self._stream(response.status_code, [*headers, *more], response.aiter_raw())
        finally:
            await response.aclose()

    # ------------------------------------------------------------------------- sending

    async def _stream(self, status: int, headers: Pairs, pieces: Any) -> None:
        """Send an answer piece by piece; stop reading it when the client leaves."""
        await self._answer.begin(status, headers)
        try:
            await self._unless_gone(self._pump(pieces))
        finally:
            with contextlib.suppress(Exception):
                await pieces.aclose()

    async def _pump(self, pieces: AsyncIterator[bytes]) -> None:
        try:
            async for piece in pieces:
                if piece:
                    await self._answer.piece(piece)
        except httpx.HTTPError as error:
            _log.warning("an answer was broken off by the upstream (%s)", describe(error))
            raise _Broken from None
        await self._answer.end()

    async def _unless_gone(self, work: Any, received: asyncio.Event | None = None) -> Any:
        """Return what `work` returns. When the client leaves first, cancel it and raise Gone.

        Args:
            work: a coroutine.
            received: set once `work` has received the request's body; until then it notices itself that the client
                leaves. None: nothing is received any more.
        """
        task = asyncio.ensure_future(work)
        listener = asyncio.ensure_future(_left(self._receive, received))
        try:
            await asyncio.wait((task, listener), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise Gone
        finally:
            listener.cancel()
            if not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task


async def _answered(door: WireCache, plan: Plan, send: Callable[[], Awaitable[Any]]) -> tuple[Reply, Lookup | None]:
    reply = await door.answer(plan, send)
    return reply, last_lookup()


def _status(plan: Plan, reply: Reply, found: Lookup | None) -> str:
    if not plan.control.may_call and not (found is not None and found.hit):
        return NOT_FORWARDED
    return cache_status(found, reply.status, forced=not plan.control.may_look)


async def _received(parts: AsyncIterator[bytes], received: asyncio.Event) -> AsyncIterator[bytes]:
    async for part in parts:
        yield part
    received.set()


def _not_cached() -> Refusal:
    return Refusal(504, NOT_CACHED, (("cache-status", NOT_FORWARDED), ("x-should-retry", "false")))


async def _left(receive: Receive, received: asyncio.Event | None) -> None:
    if received is not None:  # only one can listen
        await received.wait()
    while (await receive())["type"] != "http.disconnect":
        pass


async def _model_of(body: bytes) -> str:
    """Return the model that a body names, ``""`` for none."""
    try:
        read = await apart(lambda: read_object(body)) if len(body) > LONG else read_object(body)
    except Bypass:
        return ""
    model = None if read is None else read.get("model")
    return model if isinstance(model, str) else ""
