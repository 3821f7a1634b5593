"""Learning what other processes do: which entries they change, and which leases they give back.

One task on the process's background loop listens while it is needed: while a `Front` that may be far out of date
holds entries, or a call waits for a lease. It starts when it is first needed, ends half a minute after the last
need, and never keeps the process alive. When its connection is lost, the front is emptied, and calls that wait
for a lease look for themselves. When the connection is back, the front is emptied once more.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator

from semantic_llm_cache.backends.job import Job
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.runtime import background
from semantic_llm_cache.runtime.breaker import logger
from semantic_llm_cache.runtime.fork import fork_safe_lock
from semantic_llm_cache.storage.front import Front

__all__ = ["Listener", "Unheard"]

_LINGER = 30.0
TICK = 5.0
"""Seconds between two checks whether the connection is alive and the listener is still needed."""
_FIRST_PAUSE, _LAST_PAUSE = 0.1, 5.0
_FIRST_LOOK, _LAST_LOOK = 0.01, 0.25
"""Seconds between two looks at a lease while nothing is heard: at first, and at most."""
_LATER = 60.0


class Unheard(Exception):
    """Listening does not work here, and trying again soon would not help."""


class Listener(ABC):
    """Hears what other processes do, while that is needed.

    Args:
        url: of the server, for messages.
        front: drops entries that others change; None for leases only.
    """

    def __init__(self, url: str, front: Front | None) -> None:
        self.url = url
        self.front = front
        self.hearing = False
        """True while the connection is up and messages arrive."""
        self._lock = fork_safe_lock()
        self._waiting: dict[str, dict[asyncio.Future[None], asyncio.AbstractEventLoop]] = {}
        self._running: Job | None = None
        self._until = 0.0
        self._warned = False
        if front is not None and front.far_behind:
            reference = weakref.ref(self)

            def listen() -> None:
                listener = reference()
                if listener is not None:
                    listener.start()

            front.listen = listen
        _all.add(self)

    # --------------------------------------------------------------------------- to be done

    @abstractmethod
    async def hear(self) -> None:
        """Connect, call `heard`, and listen until `wanted` is False; check that every `TICK` seconds.

        Raises:
            Unheard: listening does not work here.
            Exception: the connection is lost.
        """

    # ------------------------------------------------------------------------------ running

    def start(self) -> None:
        """Start listening, or go on. From any thread, without waiting."""
        self._until = time.monotonic() + _LINGER
        with self._lock:
            if self._running is not None:
                return
            job = self._running = Job()
        try:
            background.spawn(_listen(self, job))
        except RuntimeError as error:  # the interpreter is ending and starts no more threads
            logger.debug("semantic-llm-cache: %s: could not start listening: %s", self.url, describe(error))

    def wanted(self) -> bool:
        """Return whether the listener is still needed."""
        front = self.front
        if self._waiting or (front is not None and front.listen is not None and front.keys()):
            return True
        return time.monotonic() < self._until

    def stop(self) -> None:
        """Make it end soon. From any thread, without waiting."""
        with self._lock:
            job, self._running = self._running, None
        if job is not None:
            job.stop()
        self.deaf()

    async def close(self) -> None:
        """`stop`, and wait until its connection is closed."""
        with self._lock:
            job = self._running
        self.stop()
        if job is not None:
            await job.wait()

    def heard(self) -> None:
        """Note that everything from now on will be heard. Called by `hear`."""
        if self.front is not None:
            self.front.drop()  # what was read before may have changed unheard
        self._until = time.monotonic() + _LINGER
        self.hearing, self._warned = True, False

    def deaf(self) -> None:
        """Note that nothing is heard any more."""
        if self.hearing and self.front is not None:
            self.front.drop()
        self.hearing = False
        if self._running is None and self.front is not None:
            self.front.listening = False
        self.ring()

    async def _listen(self, job: Job) -> None:
        pause = _FIRST_PAUSE
        while True:
            began = time.monotonic()
            try:
                await self.hear()
            except Unheard as error:
                pause = _LATER
                self._warn(error)
            except Exception as error:
                if time.monotonic() - began > TICK:
                    pause = _FIRST_PAUSE
                self._warn(error)
            finally:
                self.deaf()
            if self._ended(job):
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, max(pause, _LAST_PAUSE))
            if self._ended(job):
                return

    def _ended(self, job: Job) -> bool:
        with self._lock:  # a `start` meanwhile finds either that this run goes on, or that there is none
            front = self.front
            if front is not None:
                front.listening = False
            if self._running is job:
                if self.wanted():
                    if front is not None:
                        front.listening = True
                    return False
                self._running = None
            return True

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            logger.info(
                "semantic-llm-cache: %s: cannot listen for changes by other processes at the moment (%s): they are "
                "noticed within front_seconds, and leases are checked from time to time",
                self.url, str(error) if isinstance(error, Unheard) else describe(error),
            )  # fmt: skip

    # ------------------------------------------------------------------------------ leases

    def ring(self, name: str | None = None) -> None:
        """Wake the calls that wait for a lease, by its name; None wakes all. From any thread."""
        with self._lock:
            names = list(self._waiting) if name is None else [name]
            waiting = [item for one in names for item in self._waiting.get(one, {}).items()]
        for future, loop in waiting:
            with contextlib.suppress(RuntimeError):  # that loop is closed
                loop.call_soon_threadsafe(_resolve, future)

    @contextlib.contextmanager
    def _rung(self, name: str) -> Iterator[asyncio.Future[None]]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            self._waiting.setdefault(name, {})[future] = loop
        try:
            yield future
        finally:
            with self._lock:
                others = self._waiting[name]
                del others[future]
                if not others:
                    del self._waiting[name]

    async def wait(self, name: str, seconds: float, look: Callable[[bool], Awaitable[float]]) -> None:
        """Wait until a lease is given back, `seconds` at most; see `StorageBackend.wait_for_lease`.

        Args:
            name: of the lease.
            seconds: at most.
            look: returns how long the lease still runs, 0 for no lease; with True it also marks the lease, so that
                a message is sent when it is given back.
        """
        end = time.monotonic() + seconds
        pause = _FIRST_LOOK
        with self._rung(name) as rung:
            self.start()
            while True:
                hearing = self.hearing  # read before the mark is set: a release after that will be heard
                left = min(await look(hearing), end - time.monotonic())
                if left <= 0 or rung.done():
                    return
                await asyncio.wait((rung,), timeout=left if hearing else min(pause, left))
                if hearing or rung.done():
                    return
                pause = min(1.5 * pause, _LAST_LOOK)

    def _after_fork(self) -> None:
        self._running = None
        self._waiting = {}
        self.hearing = False


async def _listen(listener: Listener, job: Job) -> None:
    _jobs.add(job)
    try:
        await job.run(lambda: listener._listen(job))
    finally:
        _jobs.discard(job)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


_all: weakref.WeakSet[Listener] = weakref.WeakSet()
_jobs: set[Job] = set()


def _after_fork() -> None:
    _jobs.clear()
    for listener in list(_all):
        listener._after_fork()


def _at_exit() -> None:
    """Close the connections, so that no task is pending when the interpreter shuts down."""
    jobs = list(_jobs)
    for job in jobs:
        job.stop()
    if jobs:
        concurrent.futures.wait([job.done for job in jobs], timeout=0.5)


background.after_fork(_after_fork)
background.at_exit(_at_exit)
