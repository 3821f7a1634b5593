"""A provider for the benchmarks of the proxy: OpenAI's chat format, in a process of its own.

`python -m benchmarks.proxy.provider PORT` serves. An answer names the caller's credential and the question, so that
whoever gets it can see whose it is. Faults and delays are drawn from what a request's header ``x-plan`` says.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from typing import Any

__all__ = ["answer_of", "serve"]

FAULTS = ("reset", "status", "truncate", "garbage", "slow")


def answer_of(credential: str, question: str) -> str:
    """Return the words of the answer to a question."""
    return f"[{credential}] {question}"


class _Connection(asyncio.Protocol):
    """One connection: requests with a content-length, answered one after the other."""

    def __init__(self, server: _Server) -> None:
        self._server = server
        self._held = b""
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._held += data
        end = self._held.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._held[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        length = int(headers.get("content-length", 0))
        if len(self._held) < end + 4 + length:
            return
        body, self._held = self._held[end + 4 : end + 4 + length], self._held[end + 4 + length :]
        self._task = asyncio.get_running_loop().create_task(self._server.reply(self._transport, headers, body))


class _Server:
    def __init__(self, fault_share: float, pause: float, pieces: int) -> None:
        self._fault_share = fault_share
        self._pause = pause
        self._pieces = pieces
        self._random = random.Random(7)
        self.calls = 0

    async def reply(self, transport: asyncio.Transport, headers: dict[str, str], body: bytes) -> None:
        if not body:
            _send(transport, 200, json.dumps({"calls": self.calls}).encode())
            return
        self.calls += 1
        asked = json.loads(body)
        credential = headers.get("authorization", "").removeprefix("Bearer ")
        text = answer_of(credential, asked["messages"][-1]["content"])
        fault = self._random.choice(FAULTS) if self._random.random() < self._fault_share else ""
        if fault == "reset":
            transport.abort()
        elif fault == "status":
            _send(transport, self._random.choice((429, 500, 503)), b'{"error": {"message": "a fault"}}')
        elif fault == "garbage":
            transport.write(b"garbage\r\n\r\n")
            transport.close()
        elif asked.get("stream"):
            await self._stream(transport, asked, text, fault)
        else:
            await asyncio.sleep(self._pause)
            if fault == "truncate":
                transport.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n{")
                transport.close()
            else:
                _send(transport, 200, json.dumps(_whole(self.calls, asked, text)).encode())

    async def _stream(self, transport: asyncio.Transport, asked: Any, text: str, fault: str) -> None:
        transport.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        size = max(1, len(text) // self._pieces)
        parts = [text[i : i + size] for i in range(0, len(text), size)]
        for number, part in enumerate(parts):
            if fault == "truncate" and number > len(parts) // 2:
                transport.close()
                return
            _chunk(transport, _piece(self.calls, asked, {"role": "assistant", "content": part}, None))
            await asyncio.sleep(self._pause)
        _chunk(transport, _piece(self.calls, asked, {}, "stop"))
        done = b"data: [DONE]\n\n"
        transport.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(done), done))


def _send(transport: asyncio.Transport, status: int, body: bytes) -> None:
    head = b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    transport.write(head % (status, len(body)) + body)


def _chunk(transport: asyncio.Transport, value: dict[str, Any]) -> None:
    data = b"data: %s\n\n" % json.dumps(value).encode()
    transport.write(b"%x\r\n%s\r\n" % (len(data), data))


def _whole(number: int, asked: Any, text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "refusal": None}
    usage = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    base = {"id": f"chatcmpl-{number}", "object": "chat.completion", "created": 1_700_000_000, "model": asked["model"]}
    return {**base, "choices": [choice], "usage": usage}


def _piece(number: int, asked: Any, delta: dict[str, Any], finish: str | None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    base = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": 1_700_000_000}
    return {**base, "model": asked["model"], "choices": [choice]}


async def serve(port: int, fault_share: float = 0.0, pause: float = 0.0, pieces: int = 8) -> None:
    """Serve for ever.

    Args:
        port: on the loopback interface.
        fault_share: share of the requests that meet a fault.
        pause: seconds before an answer, and between the pieces of a stream.
        pieces: of a stream.
    """
    server = _Server(fault_share, pause, pieces)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: _Connection(server), "127.0.0.1", port, backlog=2048)
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), *map(float, sys.argv[2:4]), *map(int, sys.argv[4:5])))
