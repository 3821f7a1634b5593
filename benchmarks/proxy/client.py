"""A client that costs little: requests as bytes over connections that are kept, one request at a time on each."""

from __future__ import annotations

import asyncio
import json
from time import perf_counter
from typing import Any

__all__ = ["Done", "load", "request"]

_SDK = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "Connection": "keep-alive",
    "Content-Type": "application/json",
    "User-Agent": "OpenAI/Python 3.57.0",
    "X-Stainless-Arch": "x64",
    "X-Stainless-Async": "false",
    "X-Stainless-Lang": "python",
    "X-Stainless-OS": "Linux",
    "X-Stainless-Package-Version": "3.57.0",
    "X-Stainless-Runtime": "CPython",
    "X-Stainless-Runtime-Version": "3.11.7",
    "x-stainless-retry-count": "0",
    "x-stainless-read-timeout": "600",
}
"""The headers that OpenAI's SDK sends."""


def request(question: str, *, key: str = "k", stream: bool = False) -> bytes:
    """Return a chat completion as the SDK sends it."""
    system = {"role": "system", "content": "You are a helpful assistant."}
    asked: dict[str, Any] = {"model": "m", "messages": [system, {"role": "user", "content": question}]}
    if stream:
        asked["stream"] = True
    body = json.dumps(asked).encode()
    headers = {"Host": "127.0.0.1", **_SDK, "Authorization": f"Bearer {key}", "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /v1/chat/completions HTTP/1.1\r\n{lines}\r\n".encode() + body


class Done:
    """The result of a load.

    Attributes:
        seconds: it took in all.
        times: of each request, sorted, in seconds.
        last: the last response.
    """

    def __init__(self, seconds: float, times: list[float], last: bytes) -> None:
        self.seconds = seconds
        self.times = sorted(times)
        self.last = last

    def at(self, share: float) -> float:
        """Return the time below which this share of the requests lies."""
        return self.times[min(len(self.times) - 1, int(len(self.times) * share))]


class _Connection(asyncio.Protocol):
    def __init__(self, asked: bytes, work: _Work) -> None:
        self._asked = asked
        self._work = work
        self._held = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._next()

    def _next(self) -> None:
        if self._work.left <= 0:
            self._transport.close()
            return
        self._work.left -= 1
        self._began = perf_counter()
        self._transport.write(self._asked)

    def data_received(self, data: bytes) -> None:
        self._held += data
        end = self._held.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._held[:end].lower()
        place = head.find(b"\r\ncontent-length:")
        if place >= 0:
            length = int(head[place + 17 :].split(b"\r\n", 1)[0])
            if len(self._held) < end + 4 + length:
                return
        elif not self._held.endswith(b"\r\n0\r\n\r\n"):
            return
        if not head.startswith(b"http/1.1 200"):
            self._work.failed = self._held
        self._work.times.append(perf_counter() - self._began)
        self._work.last, self._held = self._held, b""
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._work.open -= 1
        if self._work.open == 0:
            self._work.over.set()


class _Work:
    def __init__(self, requests: int, connections: int) -> None:
        self.left = requests
        self.open = connections
        self.times: list[float] = []
        self.last = self.failed = b""
        self.over = asyncio.Event()


async def load(port: int, asked: bytes, requests: int, connections: int) -> Done:
    """Send one request many times.

    Raises:
        AssertionError: a response is not 200, or a connection ended early.
    """
    work = _Work(requests, connections)
    loop = asyncio.get_running_loop()
    began = perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: _Connection(asked, work), "127.0.0.1", port)
    await work.over.wait()
    seconds = perf_counter() - began
    assert not work.failed, work.failed[:500]
    assert len(work.times) == requests, f"{len(work.times)} of {requests} were answered"
    return Done(seconds, work.times, work.last)
