"""The proxy for minutes under faults: of the upstream, of the line to the backend, and of clients that leave.

`python -m benchmarks.proxy.soak --seconds 600`. Eight tenants ask repeated and new questions, whole and as streams.
One request in 20 meets a fault of the upstream; the line to Redis is cut or stalls every few seconds. Every answer
names the credential and the question that it was made for, and the clients check both. Reported are answers of the
wrong tenant or to the wrong question, errors of the proxy's own, answers that never came, and the memory over time.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.proxy.client import request
from benchmarks.proxy.processes import Started, free_port, started, started_proxy
from benchmarks.proxy.provider import answer_of

_TENANTS = 8
_EACH = 3
_QUESTIONS = 20
_PATIENCE = 30.0


class Line:
    """A line to the backend that can be cut and held up."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._open: set[asyncio.StreamWriter] = set()
        self._free = asyncio.Event()
        self._free.set()
        self._refusing = False
        self.port = 0

    async def start(self) -> None:
        """Listen at a free port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        try:
            there, onward = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.close()
            return
        both = {writer, onward}
        self._open |= both
        with contextlib.suppress(asyncio.CancelledError):  # the soak is over
            await asyncio.gather(self._pass(reader, onward), self._pass(there, writer), return_exceptions=True)
        self._open -= both

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                await self._free.wait()
                writer.write(data)
                await writer.drain()
        writer.close()

    async def trouble(self, draw: random.Random) -> str:
        """Cut the line, hold it up, or refuse connections for a while; return which."""
        kind = draw.choice(("cut", "stall", "down"))
        if kind == "stall":
            self._free.clear()
            await asyncio.sleep(draw.uniform(0.5, 3.0))
            self._free.set()
            return kind
        self._refusing = kind == "down"
        for writer in list(self._open):
            writer.transport.abort()
        if self._refusing:
            await asyncio.sleep(draw.uniform(0.5, 3.0))
            self._refusing = False
        return kind


class Clients:
    """The tenants, and what they got."""

    def __init__(self, port: int, until: float, pause: float) -> None:
        self._port = port
        self._until = until
        self._pause = pause
        self.got: Counter[str] = Counter()
        self.wrong: list[str] = []

    async def ask(self, tenant: int, draw: random.Random) -> None:
        """Ask until the time is over."""
        number = 0
        while time.monotonic() < self._until:
            number += 1
            new = draw.random() < 0.3
            question = f"new {tenant} {number} {draw.random()}" if new else f"question {draw.randrange(_QUESTIONS)}"
            try:
                await asyncio.wait_for(self._once(f"key-{tenant}", question, draw), _PATIENCE)
            except (asyncio.TimeoutError, TimeoutError):
                self.got["no answer in time"] += 1
                self.wrong.append(f"no answer in {_PATIENCE:g} s to {question!r}")
            except (OSError, asyncio.IncompleteReadError):
                self.got["connection refused or cut"] += 1
            await asyncio.sleep(draw.expovariate(1 / self._pause))

    async def _once(self, key: str, question: str, draw: random.Random) -> None:
        stream = draw.random() < 0.5
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(request(question, key=key, stream=stream).replace(b"keep-alive", b"close", 1))
            if draw.random() < 0.05:
                await asyncio.sleep(draw.uniform(0, 0.05))
                self.got["left early"] += 1
                return
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            body = await reader.read()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        self._judge(head, body, answer_of(key, question), stream)

    def _judge(self, head: str, body: bytes, expected: str, stream: bool) -> None:
        status = int(head.split(" ", 2)[1])
        if status != 200:
            of_upstream = "proxy-status:" in head or "fwd-status=" in head
            self.got[f"{status} of the upstream" if of_upstream else f"{status} of the proxy"] += 1
            if not of_upstream:
                self.wrong.append(f"{head!r} {body[:300]!r}")
            return
        if stream:
            complete, said = _said(body)
            if not complete:
                self.got["stream broken off"] += 1
                if not expected.startswith(said):
                    self.wrong.append(f"{said!r} instead of {expected!r}")
                return
        else:
            said = json.loads(body)["choices"][0]["message"]["content"]
        outcome = head.partition("x-cache: ")[2].partition("\r\n")[0]
        self.got[f"200 {outcome}"] += 1
        if said != expected:
            self.wrong.append(f"{said!r} instead of {expected!r}")


def _said(body: bytes) -> tuple[bool, str]:
    """Return whether a stream in chunks is complete, and what it said."""
    said = ""
    for line in body.split(b"\n"):
        if line.startswith(b"data: {"):
            with contextlib.suppress(ValueError):
                said += json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
    return body.endswith(b"0\r\n\r\n"), said


async def _run(proxy: Started, line: Line, seconds: float, pause: float) -> tuple[Clients, Counter[str], list[int]]:
    clients = Clients(proxy.port, time.monotonic() + seconds, pause)
    tasks = [
        asyncio.create_task(clients.ask(tenant, random.Random(100 * tenant + number)))
        for tenant in range(_TENANTS)
        for number in range(_EACH)
    ]
    draw, troubles, memory = random.Random(3), Counter[str](), []
    everything = asyncio.gather(*tasks)
    while not everything.done():
        memory.append(proxy.resident())
        await asyncio.sleep(draw.uniform(4, 16))
        troubles[await line.trouble(draw)] += 1
    await everything
    return clients, troubles, memory


async def _soak(folder: Path, redis_port: int, upstream: str, seconds: float, pause: float) -> int:
    line = Line(redis_port)
    await line.start()
    log = folder / "proxy.log"
    with started_proxy(upstream, log, url=f"redis://127.0.0.1:{line.port}/0") as proxy:
        files = proxy.open_files()
        clients, troubles, memory = await _run(proxy, line, seconds, pause)
        await asyncio.sleep(2)
        left = proxy.open_files()
        total = sum(clients.got.values())
        print(f"{total:,} requests in {seconds:g} s, {proxy.cpu():.0f} s of CPU; faults of the line: {dict(troubles)}")
        for name, count in sorted(clients.got.items()):
            print(f"  {count:8,}  {name}")
        marks = [memory[len(memory) * i // 8] >> 20 for i in range(8)] + [memory[-1] >> 20]
        print(f"memory in MiB, eighth by eighth: {marks}; open files {files} before, {left} after")
        said = log.read_text(errors="replace")
        print(f"log: {said.count(chr(10))} lines, {said.count('Traceback')} tracebacks")
        if "Traceback" in said:
            print(said[said.index("Traceback") :][:3000])
        for text in clients.wrong[:20]:
            print("WRONG:", text)
        middle = memory[len(memory) // 4]
        leaking = len(memory) > 20 and memory[-1] > 1.5 * middle
        print("leak: " + ("yes" if leaking or left > files + 150 else "no"))
        return 1 if clients.wrong or leaking or "Traceback" in said else 0


def main() -> int:
    """Run; return 1 where anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proxy.soak", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (default: 600)")
    parser.add_argument("--pause", type=float, default=0.4, help="mean pause of a client in seconds (default: 0.4)")
    options = parser.parse_args()
    from scripts.servers.redis import RedisServer

    with tempfile.TemporaryDirectory() as folder, RedisServer("plain") as redis:
        port = free_port()
        faulty = [sys.executable, "-m", "benchmarks.proxy.provider", str(port), "0.05", "0.01", "8"]
        with started(faulty, port, Path(folder) / "provider.log") as upstream:
            redis_port = int(redis.url.partition("127.0.0.1:")[2].partition("/")[0])
            return asyncio.run(_soak(Path(folder), redis_port, f"{upstream.url}/v1", options.seconds, options.pause))


if __name__ == "__main__":
    sys.exit(main())
