"""The background work of an index: add vectors to inverted lists, write and read files."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np

from semantic_llm_cache.index.inverted import InvertedLists
from semantic_llm_cache.index.linear import Vector
from semantic_llm_cache.index.partition import Partition, PartitionView
from semantic_llm_cache.redaction import describe

__all__ = ["Indexer", "Stopped"]

logger = logging.getLogger("semantic_llm_cache")

_TAIL = 512  # vectors outside the lists before they are added: scanning so many takes about 20 us
_STEP_ROWS = 64  # rows added to lists in one step, which holds the index lock for about 0.3 ms
_GHOSTS = 2048  # rebuild the lists when more than this many, and more than a quarter of all, are removed
_COARSE = 2  # lists of more than so many times the least number of vectors are coarse at first
_OUTGROWN = 4  # a build starts over when there are this many times the vectors that it began with
_MOST_ROUNDS = 100_000  # of adding what has changed during a build; beyond, the lists are given up
_LAST_ROWS = 64  # rows changed during a build: at most this many are added with the lock held
_NICE = 5
_REPORT_SECONDS = 15.0
_EXIT_SECONDS = 5.0


class Stopped(Exception):
    """Stop the work: the process is exiting or the index is closed."""


class _Outgrown(Exception):
    """Stop a build: most of the vectors have come since it began."""


class IndexedVectors(Protocol):
    """What an `Indexer` needs from its index."""

    lock: threading.Lock

    def is_current(self, partition: Partition) -> bool:
        """Return whether the partition still belongs to the index. Call with the lock held."""

    def drop_lists(self) -> None:
        """Go back to scanning every partition. Call with the lock held."""

    def watching(self, partition: Partition, changed: set[int]) -> AbstractContextManager[PartitionView | None]:
        """Yield a view of a partition; collect in `changed` the rows that change while the view is in use."""

    def take_changed(self, partition: Partition, changed: set[int], count: int) -> list[int]:
        """Empty `changed`; return its rows that are among the first `count`. Call with the lock held."""

    def take_in(self, partition: Partition, lists: InvertedLists, ids: Sequence[int], rows: Vector) -> None:
        """Mark vectors that were added to the lists as indexed."""


class Indexer:
    """The background thread of one index: starts when there is work and ends when there is none.

    Args:
        index: the index that the thread serves.
        list_rows: number of vectors at which a partition gets inverted lists; None means never.
    """

    def __init__(self, index: IndexedVectors, list_rows: int | None) -> None:
        self._index = weakref.ref(index)
        self.list_rows = list_rows
        self._todo: dict[int, Partition] = {}
        self._jobs: deque[Callable[[], Any]] = deque()
        self._job: Callable[[], Any] | None = None  # in progress
        self._thread: threading.Thread | None = None
        self._nice_thread: threading.Thread | None = None
        self._busy = False
        self.stopping = False
        """Set when jobs should end as soon as possible."""
        self.progressed: Callable[[], Any] | None = None
        """Called in the thread from time to time, and when all pending vectors are in lists."""
        self._report_at = 0.0
        _indexers.add(self)

    # ----------------------------------------------------------- with the lock of the index held

    def look(self, partition: Partition) -> None:
        """Check whether a changed partition needs work."""
        if self._is_due(partition):
            self._todo[partition.number] = partition
            self._start()

    def _is_due(self, partition: Partition) -> bool:
        if self.list_rows is None:
            return False
        lists = partition.lists
        if lists is None:
            return partition.count >= self.list_rows
        return partition.count - partition.indexed >= _TAIL or self._is_stale(partition, lists)

    def _is_stale(self, partition: Partition, lists: InvertedLists) -> bool:
        """Return whether the lists of a partition should be rebuilt or dropped."""
        return (
            partition.count >= 2 * lists.trained
            or lists.count - partition.indexed > max(_GHOSTS, partition.indexed // 4)
            or (self.list_rows is not None and partition.count < self.list_rows // 2)
        )

    def _start(self) -> None:
        if self._thread is None and not self.stopping:
            thread = threading.Thread(target=_run, args=(weakref.ref(self),), daemon=True)
            thread.name = "semantic-llm-cache-index"
            self._thread = thread
            thread.start()

    def resume(self) -> None:
        """Continue the work that was interrupted by a pause or a fork."""
        if self._thread is None and (self._jobs or self._todo):
            self._start()

    # ----------------------------------------------------------------------------- for others

    def run(self, job: Callable[[], Any]) -> bool:
        """Run `job()` in the thread before other work; return False when the process is exiting."""
        index = self._index()
        if index is None or self.stopping:
            return False
        with index.lock:
            self._jobs.append(job)
            self._start()
        return True

    @property
    def idle(self) -> bool:
        """Return True when there is nothing left to do."""
        return self._thread is None

    def wait(self, timeout: float) -> bool:
        """Wait until there is nothing left to do; return False on timeout."""
        end = time.monotonic() + timeout
        while (thread := self._thread) is not None:
            thread.join(max(0.0, end - time.monotonic()))
            if thread.is_alive():
                return False
            if self._thread is thread:  # it died silently
                break
        return True

    def stop(self, timeout: float) -> None:
        """End the thread after its current step. Jobs that check `stopping` end early."""
        self.stopping = True
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def pause(self) -> None:
        """End the thread now; `resume` continues the work."""
        self.stop(_EXIT_SECONDS)
        self.stopping = False

    def reset_after_fork(self) -> None:
        """Restart the job in the child: the thread exists only in the parent."""
        self._thread = None
        if self._job is not None:
            self._jobs.appendleft(self._job)
            self._job = None

    # ------------------------------------------------------------------------- in the thread

    def _next(self) -> bool:
        """Do one piece of work; return False when there is none left."""
        index = self._index()
        if index is None or self.stopping:
            self._thread = None
            return False
        with index.lock:
            job = self._jobs.popleft() if self._jobs else None
            partition = None if job is not None else next(iter(self._todo.values()), None)
            if job is None and partition is None and not self._busy:
                self._thread = None
                return False
        if job is not None:
            self._do(job)
        elif partition is not None:
            self._advance(index, partition)
        else:
            self._busy = False
            self._report()
        return True

    def _do(self, job: Callable[[], Any]) -> None:
        self._be_nice()
        try:
            self._job = job
            job()
        except Stopped:
            self._jobs.appendleft(job)
        except Exception as error:
            logger.error("background work on an index failed (%s)", describe(error))
        finally:
            self._job = None

    def _advance(self, index: IndexedVectors, partition: Partition) -> None:
        """Do one step of the work on a partition, and report progress from time to time."""
        if not self._busy:
            self._busy, self._report_at = True, time.monotonic() + _REPORT_SECONDS
        elif time.monotonic() > self._report_at:
            self._report_at = time.monotonic() + _REPORT_SECONDS
            self._report()
        try:
            self._step(index, partition)
        except Stopped:
            pass
        except Exception as error:
            # Scanning still works; this process does not try lists again.
            logger.warning("inverted lists could not be built, vectors are scanned instead (%s)", describe(error))
            self.abandon()

    def _report(self) -> None:
        if self.progressed is not None:
            self.progressed()

    def abandon(self, *, for_good: bool = True) -> None:
        """Go back to scanning all partitions; with `for_good` False, lists may be built again."""
        index = self._index()
        if index is not None:
            with index.lock:
                if for_good:
                    self.list_rows = None
                self._todo.clear()
                index.drop_lists()

    def _step(self, index: IndexedVectors, partition: Partition) -> None:
        with index.lock:
            lists = partition.lists
            if self.list_rows is None or not index.is_current(partition) or not self._is_due(partition):
                self._todo.pop(partition.number, None)
                return
            if lists is not None and partition.count < self.list_rows // 2:
                partition.drop_lists()
                return
            count, tail = partition.count, partition.count - partition.indexed
            stale = lists is None or self._is_stale(partition, lists)
            coarse = tail > count // 2 and count > _COARSE * self.list_rows
        if coarse:  # until then each search scans all of them
            self._build(index, partition, coarse=True)
            return
        self._be_nice()
        # Rows in outdated lists are found much faster than rows in none, so they are added before lists are rebuilt.
        if lists is not None:
            self._add_tail(index, partition, lists, _TAIL if stale else 1)
        if stale:
            self._build(index, partition)

    def _add_tail(self, index: IndexedVectors, partition: Partition, lists: InvertedLists, least: int) -> None:
        """Add vectors that are in no list yet, until there are fewer than `least`."""
        while not self.stopping and partition.count - partition.indexed >= least:
            if not self._add_rows_beside(index, partition, lists):
                return

    @staticmethod
    def _add_rows_beside(index: IndexedVectors, partition: Partition, lists: InvertedLists) -> bool:
        """Add some vectors that are in no list yet; return False when there is nothing to add."""
        start = time.perf_counter()
        with index.lock:
            if partition.lists is not lists or not index.is_current(partition):
                return False
            first = partition.indexed
            count = min(_STEP_ROWS, partition.count - first)
            if not count:
                return False
            ids = partition.ids[first : first + count].tolist()
            rows = partition.rows(first, count)
        lists.add(ids, rows)
        index.take_in(partition, lists, ids, rows)
        time.sleep(min(0.002, (time.perf_counter() - start) / 4))  # leave some CPU time to others
        return True

    def _build(self, index: IndexedVectors, partition: Partition, *, coarse: bool = False) -> None:
        """Build the lists of a partition while it is searched and changed, then start using them.

        Coarse lists take a third of the time. They are outdated from the start, so better ones follow.
        """
        changed: set[int] = set()
        with index.watching(partition, changed) as view:
            if view is None:
                return
            count = len(view.ids)
            pause = self._urgent if coarse else self._pacer()

            def keep_up() -> None:
                pause()
                if partition.count > _OUTGROWN * len(view.ids):
                    raise _Outgrown
                if view.lists is not None and partition.lists is view.lists and not coarse:
                    self._add_tail(index, partition, view.lists, _TAIL)

            try:
                lists = InvertedLists.build(view.ids, view.blocks, count, keep_up, coarse=coarse)
            except _Outgrown:
                return
            for _ in range(_MOST_ROUNDS):
                with index.lock:
                    numbers = index.take_changed(partition, changed, count)
                    # Vectors that came during the build are added too, or a search would have to scan them.
                    end = max(count, min(partition.count, count + _STEP_ROWS))
                    if len(numbers) <= _LAST_ROWS and partition.count - end < _TAIL:
                        self._add_rows(lists, partition, numbers)
                        if index.is_current(partition):
                            partition.lists, partition.indexed = lists, min(count, partition.count)
                        return
                    numbers += range(count, end)
                    ids = [partition.ids[number] for number in numbers]
                    rows = np.stack([partition.row(number) for number in numbers])
                    count = end
                for first in range(0, len(ids), _STEP_ROWS):
                    lists.add(ids[first : first + _STEP_ROWS], rows[first : first + _STEP_ROWS])
                pause()

    @staticmethod
    def _add_rows(lists: InvertedLists, partition: Partition, numbers: list[int]) -> None:
        if numbers:
            rows = np.stack([partition.row(number) for number in numbers])
            lists.add([partition.ids[number] for number in numbers], rows)

    def _urgent(self) -> None:
        """Do the part of `_pacer`'s function that ends the work: searches wait for it."""
        if self.stopping:
            raise Stopped

    def _be_nice(self) -> None:
        """Let requests take priority over the rest of the work of this thread."""
        if self._nice_thread is not threading.current_thread():
            self._nice_thread = threading.current_thread()
            # On Linux each thread has its own niceness, and may not lower it again.
            with contextlib.suppress(OSError, AttributeError):
                thread = threading.get_native_id()
                os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICE)

    def _pacer(self) -> Callable[[], None]:
        """Return a function for long work to call often: it sleeps a fifth of the time, and raises to end the work."""
        last = time.perf_counter()

        def pause() -> None:
            nonlocal last
            if self.stopping:
                raise Stopped
            spent = time.perf_counter() - last
            if spent > 0.001:
                time.sleep(min(0.005, spent / 4))
                last = time.perf_counter()

        return pause


def _run(reference: weakref.ref[Indexer]) -> None:
    while True:
        indexer = reference()
        if indexer is None or not indexer._next():
            return
        del indexer


# ------------------------------------------------------------------------------ exit and fork

_indexers: weakref.WeakSet[Indexer] = weakref.WeakSet()


@atexit.register
def _at_exit() -> None:
    # Let a file that is being written be completed.
    for indexer in list(_indexers):
        indexer.stopping = True
    for indexer in list(_indexers):
        indexer.stop(_EXIT_SECONDS)


def _after_fork_in_child() -> None:
    for indexer in list(_indexers):
        indexer.reset_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
