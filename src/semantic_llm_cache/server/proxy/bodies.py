"""Bodies of requests: read under limits of size and time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from semantic_llm_cache.server.proxy.headers import Head
from semantic_llm_cache.server.proxy.refusals import Refusal

__all__ = ["Gone", "Message", "Receive", "Send", "passing_body", "whole_body"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Gone(Exception):
    """The client has closed its connection."""


async def whole_body(receive: Receive, head: Head, most: int, seconds: float) -> bytes:
    """Return the body of a request.

    Args:
        receive: of ASGI.
        head: of the request.
        most: bytes that it may have.
        seconds: within which it must be here.

    Raises:
        Refusal: 413 for a body that is too large, 408 for one that takes too long.
        Gone: the client has left.
    """
    _check_length(head, most)
    message = None
    if head.length is not None and head.length <= _USUAL:
        message = await _first(receive, seconds)
        if not message.get("more_body", False):
            body: bytes = message.get("body", b"")
            return body
    try:
        return await asyncio.wait_for(_rest(receive, message, most), seconds)
    except (asyncio.TimeoutError, TimeoutError):
        raise _late(seconds) from None


async def passing_body(receive: Receive, head: Head, most: int, seconds: float) -> AsyncIterator[bytes]:
    """Yield the body of a request as it comes. Raises what `whole_body` does; `seconds` count for each piece."""
    _check_length(head, most)
    size, more = 0, True
    while more:
        message = await _first(receive, seconds)
        part = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(part)
        if size > most:
            raise _too_large(most)
        if part:
            yield part


_USUAL = 1 << 16


async def _first(receive: Receive, seconds: float) -> Message:
    try:
        message = await asyncio.wait_for(receive(), seconds)
    except (asyncio.TimeoutError, TimeoutError):
        raise _late(seconds) from None
    if message["type"] == "http.disconnect":
        raise Gone
    return message


async def _rest(receive: Receive, message: Message | None, most: int) -> bytes:
    body = bytearray()
    while True:
        if message is None:
            message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        body += message.get("body", b"")
        if len(body) > most:
            raise _too_large(most)
        if not message.get("more_body", False):
            return bytes(body)
        message = None


def _check_length(head: Head, most: int) -> None:
    if head.length is not None and head.length > most:
        raise _too_large(most)


def _too_large(most: int) -> Refusal:
    return Refusal(413, f"the body is larger than the limit of {most:,} bytes", close=True)


def _late(seconds: float) -> Refusal:
    return Refusal(408, f"the body was not complete after {seconds:g} seconds", close=True)
