"""Bodies of requests: read under limits of size and time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from semantic_llm_cache.server.proxy.headers import Head
from semantic_llm_cache.server.proxy.refusals import Refusal

__all__ = ["Gone", "Message", "Receive", "Send", "drain", "passing_body", "whole_body"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


_DRAIN = 5.0
_QUIET = 1.0
"""Seconds to read what is left of a refused body: at most, and without a byte."""


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
    with _Deadline(seconds):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        body: bytes = message.get("body", b"")
        if not message.get("more_body", False) and len(body) <= most:
            return body
        return await _rest(receive, message, most)


def passing_body(receive: Receive, head: Head, most: int, seconds: float) -> AsyncIterator[bytes]:
    """Return the body of a request as it comes. Raises what `whole_body` does; `seconds` count for each piece."""
    _check_length(head, most)  # at once: nothing is sent on of a request that announces too much
    return _passing(receive, most, seconds)


async def _passing(receive: Receive, most: int, seconds: float) -> AsyncIterator[bytes]:
    size, more = 0, True
    while more:
        with _Deadline(seconds):
            message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        part = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(part)
        if size > most:
            raise _too_large(most)
        if part:
            yield part


async def drain(receive: Receive) -> None:
    """Read what a client still sends of a body that was refused, for a short time.

    A connection that is closed with unread bytes is reset, and the client might never see why it was refused.
    """
    try:
        with _Deadline(_DRAIN):
            while True:
                with _Deadline(_QUIET):
                    message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
    except Refusal:
        pass


class _Deadline:
    """Raises Refusal where the body of the block takes longer. What `asyncio.timeout` does, on Python 3.10 too."""

    __slots__ = ("_handle", "_late", "_seconds", "_task")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._late = False

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._handle = asyncio.get_running_loop().call_later(self._seconds, self._expire)

    def _expire(self) -> None:
        self._late = True
        if self._task is not None:
            self._task.cancel()

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        self._handle.cancel()
        if self._late and kind is asyncio.CancelledError:
            if self._task is not None and sys.version_info >= (3, 11):
                self._task.uncancel()
            seconds = self._seconds
            raise Refusal(408, f"the body was not complete after {seconds:g} seconds", close=True) from None


async def _rest(receive: Receive, message: Message, most: int) -> bytes:
    body = bytearray()
    while True:
        if message["type"] == "http.disconnect":
            raise Gone
        body += message.get("body", b"")
        if len(body) > most:
            raise _too_large(most)
        if not message.get("more_body", False):
            return bytes(body)
        message = await receive()


def _check_length(head: Head, most: int) -> None:
    if head.length is not None and head.length > most:
        raise _too_large(most)


def _too_large(most: int) -> Refusal:
    return Refusal(413, f"the body is larger than the limit of {most:,} bytes", unread=True)
