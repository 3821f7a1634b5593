"""What the tests of faults are written with: callers under load, and a line that can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time

import numpy as np

from semantic_llm_cache import Request, SemanticCache
from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.engine.state import state_of
from semantic_llm_cache.similarity import EmbeddingProvider

LIMITS = {"scope": "s", "embedder": "e"}
X = np.eye(8, dtype=np.float32)[0]


def entry(response="That.", embedding=X, prompt="What?", **fields):
    return CacheEntry(prompt, response, embedding, **{**LIMITS, "ttl": 60.0, **fields})


class Numbers(EmbeddingProvider):
    """Question n lies near no other."""

    fingerprint = "numbers-8"

    def encode_batch(self, texts):
        rows = [np.random.default_rng(int(text.split()[-1])).standard_normal(64) for text in texts]
        return np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float32)

    async def aencode(self, text):
        return self.encode_batch([text])[0]


async def eventually(condition, seconds=15.0):
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end, "it does not come about"
        await asyncio.sleep(0.02)


class Load:
    """Callers that ask questions over and over through an engine, and check every answer."""

    def __init__(self, backend):
        self.engine = SemanticCache(backend, embedder=Numbers(), similarity=0.95, timeout=0.25)
        self.breakers = list(state_of(backend).breakers.values())
        for breaker in self.breakers:
            breaker.retry_after = 0.1
        self.answers = self.calls = 0
        self.running = True
        self._tasks = []

    async def _ask(self, first):
        number = first
        while self.running:
            number = (number + 7) % 23
            wording = ("what about", "please tell about")[number % 2]

            async def call(number=number):
                self.calls += 1
                return f"answer {number}"

            request = Request("load", {"model": "m"}, f"{wording} {number}")
            assert await self.engine.get_or_call(request, call) == f"answer {number}"
            self.answers += 1
            await asyncio.sleep(0.002)

    async def __aenter__(self):
        self._tasks = [asyncio.ensure_future(self._ask(n)) for n in range(4)]
        return self

    async def __aexit__(self, *exc):
        self.running = False
        await asyncio.gather(*self._tasks)
        await self.engine.close()

    @property
    def open(self):
        """Whether reads are kept away from the server."""
        return any(breaker.open for breaker in self.breakers)

    async def served(self):
        """Wait until 30 answers came without a call."""
        calls, answers = self.calls, self.answers

        async def enough():
            nonlocal calls, answers
            if self.calls != calls:
                calls, answers = self.calls, self.answers
            return self.answers >= answers + 30

        await eventually(enough)

    async def more(self, count):
        """Wait until `count` more answers have come, from wherever."""
        goal = self.answers + count

        async def enough():
            return self.answers >= goal

        await eventually(enough)


class Proxy:
    """A TCP relay on a free port, in threads, that counts round trips and cuts connections on demand."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.round_trips = 0
        self.cut_after: int | None = None
        self.cuts = 0
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Proxy:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._begin(self._accept)
        return self

    def __exit__(self, *exc: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        for one in self._sockets:
            _shut(one)
        for thread in self._threads:
            thread.join()
        for one in [self._listener, *self._sockets]:
            one.close()

    def _begin(self, function, *arguments) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.target))
            self._sockets += [near, far]
            answered = [True]
            self._begin(self._there, near, far, answered)
            self._begin(self._back, near, far, answered)

    def _there(self, near, far, answered) -> None:
        with contextlib.suppress(OSError):
            while data := near.recv(1 << 20):
                with self._lock:
                    self.round_trips += answered[0]
                    answered[0] = False
                far.sendall(data)
        _shut(far)

    def _back(self, near, far, answered) -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(1 << 20):
                with self._lock:
                    answered[0] = True
                    cut, self.cut_after = self.cut_after, None
                    self.cuts += cut is not None
                near.sendall(data if cut is None else data[:cut])
                if cut is not None:
                    break
        _shut(near)
        _shut(far)


def _shut(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
