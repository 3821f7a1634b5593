"""A thousand slow streams at once through one worker: memory, and whether each client gets its own answer.

`python -m benchmarks.proxy.streams [STREAMS]`. Each stream has 40 pieces of some 50 characters, one in half a second.
All are open at the same time; none is answered from the cache.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import sys
import tempfile
from pathlib import Path

from benchmarks.proxy.client import request
from benchmarks.proxy.processes import Started, free_port, started, started_proxy
from benchmarks.proxy.provider import answer_of

_PIECES = 40
_PAUSE = 0.5
_MOST_PER_STREAM = 300_000
"""Bytes of memory: two connections, two tasks and what has been said so far."""


async def _one(port: int, number: int, opened: asyncio.Semaphore) -> str:
    """Read one stream to its end; return what it said."""
    async with opened:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(_question(number), key=f"key-{number % 10}", stream=True))
        head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    said = ""
    async for line in reader:
        if line.startswith(b"data: {"):
            said += json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
        elif line.startswith(b"data: [DONE]"):
            break
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return said


def _question(number: int) -> str:
    return f"Tell me about the number {number}. " + "It is a long story. " * 100


async def _all(proxy: Started, count: int) -> tuple[int, int]:
    """Read all streams; return the most memory meanwhile, and how many said what they had to."""
    opened, most = asyncio.Semaphore(50), 0
    tasks = [asyncio.create_task(_one(proxy.port, number, opened)) for number in range(count)]
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0.5)
        most = max(most, proxy.resident())
    right = 0
    for number, task in enumerate(tasks):
        right += task.result() == answer_of(f"key-{number % 10}", _question(number))
    return most, right


def main(count: int) -> int:
    """Print what was measured; return 1 where an answer was wrong or the memory grew too much."""
    _allow_files(2 * count + 200)
    with tempfile.TemporaryDirectory() as folder:
        log, port = Path(folder) / "log", free_port()
        slow = [sys.executable, "-m", "benchmarks.proxy.provider", str(port), "0", str(_PAUSE), str(_PIECES)]
        with started(slow, port, log) as upstream, started_proxy(f"{upstream.url}/v1", log) as proxy:
            asyncio.run(_all(proxy, 20))  # what is loaded at the first use
            idle = proxy.resident()
            most, right = asyncio.run(_all(proxy, count))
            after = proxy.resident()
            each = (most - idle) / count
            print(f"{count} streams at once: {right} right; memory {idle >> 20} MiB idle, {most >> 20} MiB at most")
            print(f"({each / 1024:.0f} KiB for each), {after >> 20} MiB afterwards; {proxy.open_files()} files open")
            said = log.read_text(errors="replace")
            print("log:", said[-2000:] if "Traceback" in said else "no error")
    return 0 if right == count and each <= _MOST_PER_STREAM else 1


def _allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard) if hard > 0 else count, hard))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
