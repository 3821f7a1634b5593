"""Worker threads for calls that would block an event loop.

They are daemon threads, started with the first job. Results return through `call_soon_threadsafe` of the
calling loop, so one worker serves several loops, one after another or at once, at about half the cost of
an executor. At exit and before a fork every worker closes its resource (a connection); after a fork,
parent and child each open a new one.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

# Imported for its fork hooks: the hooks of this module must run before those, since threads take the gate first.
import semantic_llm_cache.runtime.fork  # noqa: F401

__all__ = ["BatchWorker", "Job", "Worker"]

R = TypeVar("R")  # the resource that the thread owns
T = TypeVar("T")

_EXIT_SECONDS = 3.0  # the longest wait for pending writes at exit
_FORK_SECONDS = 10.0


class Job:
    """A function to run in a worker, and the future that its loop waits for."""

    __slots__ = ("args", "error", "function", "future", "loop", "result")

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop | None,
        future: asyncio.Future[Any] | None,
    ) -> None:
        self.function = function
        self.args = args
        self.loop = loop
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None


def _finish(jobs: list[Job]) -> None:
    """Hand results and errors to the waiting loops; wake each loop only once."""
    loop = jobs[0].loop
    if len(jobs) > 1 and any(job.loop is not loop for job in jobs):
        for loop in {job.loop for job in jobs}:
            _finish([job for job in jobs if job.loop is loop])
    elif loop is not None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, so nobody is waiting
            loop.call_soon_threadsafe(_resolve, jobs)


def _resolve(jobs: list[Job]) -> None:
    for job in jobs:
        future = job.future
        if future is not None and not future.done():  # else cancelled
            if job.error is None:
                future.set_result(job.result)
            else:
                future.set_exception(job.error)


class Worker(Generic[R]):
    """A daemon thread that owns a resource and runs one job at a time with it.

    Args:
        name: the name of the thread.
        acquire: creates the resource, in the thread, when the first job needs it. May raise.
        release: closes it, in any thread while no job runs.
        translate: turns an exception of a job into the one that its caller gets.
    """

    transient = False
    """True to release the resource after every job."""

    def __init__(
        self,
        name: str,
        acquire: Callable[[], R],
        release: Callable[[R], None],
        translate: Callable[[Exception], Exception] | None = None,
    ) -> None:
        self.useless: Callable[[R], bool] | None = None
        """Called before each job; returns True to have the resource replaced."""
        self._name = name
        self._acquire = acquire
        self._release = release
        self._translate = translate
        self._resource: R | None = None
        self._renew()
        _workers.add(self)

    def reset_after_fork(self) -> None:
        """Start without thread and resource: both belong to the parent."""
        if self._resource is not None:  # in use until the fork
            _abandoned.append(self._resource)
            self._resource = None
        self._renew()

    def _renew(self) -> None:
        self._queue: SimpleQueue[Job] = SimpleQueue()
        self._thread: threading.Thread | None = None
        # Held briefly around the queue, so that no job can be queued after the end marker.
        self._entry = threading.Lock()
        # Held while jobs run: whoever holds it may release the resource.
        self._gate = threading.Lock()

    def run(self, function: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Run `function(resource, *args)` in the thread; await the future for its result."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._put(Job(function, args, loop, future))
        return future

    def post(self, function: Callable[..., Any], *args: Any) -> None:
        """Run `function(resource, *args)` in the thread later; its errors are dropped."""
        self._put(Job(function, args, None, None))

    def _put(self, job: Job) -> None:
        with self._entry:
            if self._thread is None:
                thread = threading.Thread(target=self._serve, args=(self._queue,), daemon=True)
                thread.name = f"semantic-llm-cache-{self._name}"
                thread.start()
                self._thread = thread
            self._queue.put(job)

    def _serve(self, queue: SimpleQueue[Job]) -> None:
        while True:
            job = queue.get()
            end = job if job.function is _end else self._process(job, queue)
            if end is not None:
                break
            del job  # do not keep an entry alive while waiting
        with self._gate:
            self.let_go()
        _finish([end])

    def _process(self, job: Job, queue: SimpleQueue[Job]) -> Job | None:
        """Run `job` and more jobs from `queue`; return the end mark if it was among them."""
        if job.future is None or not job.future.cancelled():
            with self._gate:
                self.attempt(job)
                if self.transient:
                    self.let_go()
            _finish([job])
        return None

    def attempt(self, job: Job) -> None:
        """Run one job. Only with the gate held."""
        try:
            job.result = job.function(self.resource(), *job.args)
        except Exception as error:
            job.error = self.translate(error)

    def translate(self, error: Exception) -> Exception:
        """Return the exception that the caller gets for one that a job raised."""
        return error if self._translate is None else self._translate(error)

    def resource(self) -> R:
        """Return the resource; open it first if needed. Only with the gate held."""
        if self._resource is not None and self.useless is not None and self.useless(self._resource):
            self.let_go()
        if self._resource is None:
            self._resource = self._acquire()
        return self._resource

    def let_go(self) -> None:
        """Release the resource; the next job creates another. Only with the gate held."""
        resource, self._resource = self._resource, None
        if resource is not None:
            self._release(resource)

    def _retire(self, mark: Job) -> threading.Thread | None:
        with self._entry:
            thread, self._thread = self._thread, None
            if thread is not None:
                self._queue.put(mark)
                self._queue = SimpleQueue()
        return thread

    def dismiss(self) -> None:
        """Let the thread finish what is queued, release the resource and end. Does not wait."""
        self._retire(Job(_end, (), None, None))

    def stop(self, timeout: float | None = None) -> None:
        """Do a `dismiss` and wait for it, `timeout` seconds at most. The next job starts a new thread."""
        thread = self._retire(Job(_end, (), None, None))
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    async def close(self) -> None:
        """Do a `stop` without blocking the loop."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        if self._retire(Job(_end, (), loop, future)) is not None:
            await future


def _end() -> None:
    """Mark the last job of a thread."""


class BatchWorker(Worker[R]):
    """A worker that takes all jobs waiting (up to a bound) and hands them over as one batch.

    Args:
        batch: called with this worker and the jobs; sets their results and errors.
        idle: called after a batch if nothing is waiting; returns True to be called again while that is so.
    """

    most = 256
    """The largest number of jobs in a batch."""

    def __init__(
        self,
        name: str,
        acquire: Callable[[], R],
        release: Callable[[R], None],
        batch: Callable[[Worker[R], list[Job]], None],
        idle: Callable[[Worker[R]], bool],
        translate: Callable[[Exception], Exception] | None = None,
    ) -> None:
        super().__init__(name, acquire, release, translate)
        self._batch = batch
        self._idle = idle

    def _process(self, job: Job, queue: SimpleQueue[Job]) -> Job | None:
        jobs, end = [job], None
        while len(jobs) < self.most and end is None:
            try:
                more = queue.get_nowait()
            except Empty:
                break
            if more.function is _end:
                end = more
            else:
                jobs.append(more)
        with self._gate:
            try:
                self._batch(self, jobs)
            except Exception as error:
                for one in jobs:
                    one.error = self.translate(error)
        _finish(jobs)
        again = end is None
        while again and queue.empty():
            with self._gate:
                try:
                    again = self._idle(self)
                except Exception:  # it is tried again after the next batch
                    again = False
        return end


# ------------------------------------------------------------------------------ exit and fork

_workers: weakref.WeakSet[Worker[Any]] = weakref.WeakSet()
_held: list[Worker[Any]] = []
_abandoned: list[Any] = []  # kept alive: deleting one would close what the parent still uses


@atexit.register
def _at_exit() -> None:
    end = time.monotonic() + _EXIT_SECONDS
    for worker in list(_workers):
        worker.stop(max(0.05, end - time.monotonic()))


def _before_fork() -> None:
    # An SQLite connection must not stay open across a fork, not even unused: the library's own record
    # of the process's locks would be wrong in the child.
    for worker in list(_workers):
        if worker._gate.acquire(timeout=_FORK_SECONDS):
            _held.append(worker)
            with contextlib.suppress(Exception):
                worker.let_go()


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop()._gate.release()


def _after_fork_in_child() -> None:
    _held.clear()
    for worker in list(_workers):
        worker.reset_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
