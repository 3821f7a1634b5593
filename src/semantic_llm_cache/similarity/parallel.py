"""`Parallel`: the pieces of one batch in several threads at once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from semantic_llm_cache.similarity.forking import reset_in_child

__all__ = ["Parallel"]

_AHEAD = 2
"""Pieces promised to each thread. Interpreter exit waits for these, so a thread must not run through a whole batch."""

Piece = TypeVar("Piece")
Result = TypeVar("Result")


class Parallel:
    """Runs a blocking function that releases the GIL on several pieces at once: in the caller's thread and others.

    The caller takes pieces until none is left, so a piece never waits for a thread that is busy elsewhere. The
    other threads are started when they are first needed.

    Args:
        threads: most pieces at once for one caller, and one more than the threads of its own.
        name: prefix of the threads' names.

    Example:
        >>> Parallel(2).map(len, ["a", "bc"])
        [1, 2]
    """

    def __init__(self, threads: int, name: str = "parallel") -> None:
        self._threads = threads
        self._name = name
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Drop the parent's threads, which a forked child does not have."""
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def map(self, function: Callable[[Piece], Result], pieces: Sequence[Piece]) -> list[Result]:
        """Return ``[function(piece) for piece in pieces]``.

        After an error no further piece is begun; those that run are waited for, and the error is raised.
        """
        if len(pieces) < 2 or self._threads < 2:
            return [function(piece) for piece in pieces]
        results: dict[int, Result] = {}
        waiting = deque(enumerate(pieces))

        def take() -> None:
            try:
                place, piece = waiting.popleft()
            except IndexError:  # another thread was faster
                return
            try:
                results[place] = function(piece)
            except BaseException:
                waiting.clear()
                raise

        others: list[Future[None]] = []
        try:
            while waiting:
                others = [other for other in others if not other.done() or _error_of(other)]
                others += self._start(take, min(_AHEAD * (self._threads - 1) - len(others), len(waiting) - 1))
                take()
        finally:
            failed = _first_error([other for other in others if not other.cancel()])
            others.clear()
        try:
            if failed is not None:
                raise failed
        finally:
            del failed  # its traceback holds this frame
        # A thread that failed to start may have left its piece in the queue: it is done here.
        return [results[place] if place in results else function(piece) for place, piece in enumerate(pieces)]

    def _start(self, take: Callable[[], None], count: int) -> list[Future[None]]:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._threads - 1, self._name)
            begun: list[Future[None]] = []
            try:
                for _ in range(count):
                    begun.append(self._pool.submit(take))
            except RuntimeError:  # at interpreter exit, or no thread can be started: the caller does it all
                self._pool.shutdown(wait=False, cancel_futures=True)  # which else would keep what no thread takes
                self._pool = None
            return begun

    def close(self) -> None:
        """Let the threads end. Does not wait. A later `map` starts others."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False)


def _first_error(others: list[Future[None]]) -> BaseException | None:
    """Wait for all, and return the first error."""
    return next(iter([error for other in others if (error := _error_of(other)) is not None]), None)


def _error_of(other: Future[None]) -> BaseException | None:
    return None if other.cancelled() else other.exception()
