"""Processes that ask for the same answers at the same time, for the tests of single flight across processes."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["Asker", "askers", "calls_in"]

_SCRIPT = """
import asyncio, json, os, sys, time
from semantic_llm_cache import SemanticCache, last_lookup
from semantic_llm_cache.backends import PostgresBackend, RedisBackend, SQLiteBackend

make, log, lease, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
backend = eval(make)
backend.lease_seconds = lease
kind = sys.argv[5]

async def embed(text):
    await asyncio.sleep(0.2)  # long enough for another process to store its answer
    return [1.0, 0.0, 0.0]

near = {"similarity": 0.9, "embedder": embed, "guards": None} if kind == "outcomes" else {}
engine = SemanticCache(backend, single_flight="shared", namespace="n", timeout=3.0, **near)
plain = kind == "plain"

def note(prompt):
    with open(log, "a") as file:
        file.write(f"{os.getpid()} {prompt}\\n")

if kind == "streams":
    @engine.cache
    async def tell(prompt: str):
        note(prompt)
        yield prompt
        await asyncio.sleep(seconds)
        if prompt.startswith("fails"):
            raise ValueError("no")
        yield " by "
        yield str(os.getpid())

    @engine.cache
    def tell_plain(prompt: str):
        note(prompt)
        yield prompt
        time.sleep(seconds)
        if "fails" in prompt:
            raise ValueError("no")
        yield " by "
        yield str(os.getpid())

    async def ask(prompt):
        if prompt.startswith("plain"):
            return await asyncio.to_thread(lambda: "".join(tell_plain(prompt)))
        return "".join([chunk async for chunk in tell(prompt)])
elif kind == "outcomes":
    @engine.cache
    async def answer(prompt: str) -> str:
        note(prompt)
        return prompt

    async def ask(prompt):
        if prompt.startswith("later"):
            await asyncio.sleep(0.1)
        await answer(prompt.split(" ", 1)[1])
        return last_lookup().outcome
elif plain:
    @engine.cache
    def ask(prompt: str) -> str:
        note(prompt)
        time.sleep(seconds)
        return f"{prompt} by {os.getpid()}"
else:
    @engine.cache
    async def ask(prompt: str) -> str:
        note(prompt)
        if prompt.startswith("fails"):
            await asyncio.sleep(0.05)
            raise ValueError("no")
        await asyncio.sleep(seconds)
        return f"{prompt} by {os.getpid()}"

async def answers(prompt, count):
    if plain:
        made = [asyncio.to_thread(ask, prompt) for _ in range(count)]
    else:
        made = [ask(prompt) for _ in range(count)]
    found = await asyncio.gather(*made, return_exceptions=True)
    return [f if isinstance(f, str) else type(f).__name__ for f in found]

async def main():
    loop = asyncio.get_running_loop()
    await backend.get("nothing")  # connected
    print("ready", flush=True)
    while True:
        line = await loop.run_in_executor(None, sys.stdin.readline)
        if not line:
            break
        prompt, count = line.rsplit(" ", 1)
        print(json.dumps(sorted(set(await answers(prompt, int(count))))), flush=True)
    await engine.close()

asyncio.run(main())
"""


class Asker:
    """A process that is told what to ask, how often at once, and says which different answers it got."""

    def __init__(self, make: str, log: Path, lease: float, seconds: float, kind: str = "async") -> None:
        command = [sys.executable, "-c", _SCRIPT, make, str(log), str(lease), str(seconds), kind]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        self._rest = b""

    @property
    def pid(self) -> int:
        return self.process.pid

    def line(self, timeout: float = 30.0) -> str:
        end = time.monotonic() + timeout
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, end - time.monotonic()))
            more = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not more:
                self.process.kill()
                raise AssertionError(f"process {self.pid} said nothing: {self.process.stderr.read().decode()}")
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def ask(self, prompt: str, count: int = 1) -> None:
        self.process.stdin.write(f"{prompt} {count}\n".encode())

    def answers(self, timeout: float = 30.0) -> list[str]:
        import json

        return json.loads(self.line(timeout))

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def end(self) -> str:
        """End it by the end of its input; return what it wrote to stderr."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            error = self.process.stderr.read().decode()
            self.process.stdout.close()
            self.process.stderr.close()
        return error


@contextlib.contextmanager
def askers(count: int, make: str, folder: Path, *, lease: float = 5.0, seconds: float = 0.5, kind: str = "async"):
    """Give `count` processes that are connected, and see that they end in good order."""
    log = folder / f"calls-{time.monotonic_ns()}"
    log.touch()
    processes = [Asker(make, log, lease, seconds, kind) for _ in range(count)]
    try:
        for process in processes:
            assert process.line() == "ready"
        yield processes, log
        for process in processes:
            if process.process.poll() is None:
                assert process.end() == ""
                assert process.process.returncode == 0
    finally:
        for process in processes:
            if process.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    process.thaw()
                process.process.kill()
                process.process.wait()
            for stream in (process.process.stdin, process.process.stdout, process.process.stderr):
                stream.close()


def calls_in(log: Path, prompt: str) -> list[int]:
    """Return the processes that have called for `prompt`, in order."""
    lines = [line.split(" ", 1) for line in log.read_text().splitlines()]
    return [int(pid) for pid, asked in lines if asked == prompt]


def wait_until(condition, seconds: float = 15.0, what: str = "") -> None:
    """Wait until `condition()` is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what or "it did not come to that"
        time.sleep(0.01)
