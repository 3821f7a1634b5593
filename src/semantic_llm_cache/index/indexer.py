"""What happens to an index in the background: vectors enter the graphs, files are written and read."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from semantic_llm_cache.index.graph import Graph, is_installed

if TYPE_CHECKING:
    from semantic_llm_cache.index.partition import Partition
    from semantic_llm_cache.index.vectors import VectorIndex

__all__ = ["Indexer", "Stopped"]

logger = logging.getLogger("semantic_llm_cache")

_TAIL = 512  # vectors beside a graph from which on they are put into it: a scan of these takes some 20 us
_STEP_SECONDS = 0.0015  # a search may have to wait for one step
_MOST_ROWS = 64
_TOMBSTONES = 2048
_NICE = 5
_REPORT_SECONDS = 15.0
_EXIT_SECONDS = 5.0


class Stopped(Exception):
    """The process ends, or the index is closed: leave the work as it is."""


class Indexer:
    """The background thread of one index: started when there is work, ended when there is none.

    Args:
        index: whose thread this is.
        graph_rows: vectors from which on a partition gets a graph; None for never.
    """

    def __init__(self, index: VectorIndex, graph_rows: int | None) -> None:
        self._index = weakref.ref(index)
        self.graph_rows = graph_rows
        self._todo: dict[int, Partition] = {}
        self._jobs: deque[Callable[[], Any]] = deque()
        self._job: Callable[[], Any] | None = None  # under way
        self._thread: threading.Thread | None = None
        self._busy = False
        self._installed: bool | None = None
        self.stopping = False
        """True when jobs are to end as soon as they can."""
        self.progressed: Callable[[], Any] | None = None
        """Called in the thread now and then, and when all vectors due are in graphs."""
        self._report = 0.0
        _indexers.add(self)

    # ----------------------------------------------------------- with the lock of the index held

    def look(self, partition: Partition) -> None:
        """See whether there is work on a partition that has changed."""
        if self._is_due(partition) and self._can_build():
            self._todo[partition.number] = partition
            self._start()

    def _can_build(self) -> bool:
        if self._installed is None:
            self._installed = is_installed()
            if not self._installed:
                self.graph_rows = None
                logger.info(
                    "an index has grown to where an HNSW graph would answer faster than a scan: "
                    'pip install "semantic-llm-cache[hnsw]"'
                )
        return self._installed

    def _is_due(self, partition: Partition) -> bool:
        graph = partition.graph
        if self.graph_rows is None:
            return False
        if graph is None:
            return partition.count >= self.graph_rows
        if not graph.ready:
            return False
        return partition.count - partition.indexed >= _TAIL or len(graph.gone) >= _TAIL

    def _start(self) -> None:
        if self._thread is None and not self.stopping:
            thread = threading.Thread(target=_run, args=(weakref.ref(self),), daemon=True)
            thread.name = "semantic-llm-cache-index"
            self._thread = thread
            thread.start()

    def resume(self) -> None:
        """Go on with what was left when the thread was paused, or lost in a fork."""
        if self._thread is None and (self._jobs or self._todo):
            self._start()

    # ----------------------------------------------------------------------------- for others

    def run(self, job: Callable[[], Any]) -> bool:
        """Have `job()` run in the thread, before other work; False when the process is ending."""
        index = self._index()
        if index is None or self.stopping:
            return False
        with index._lock:
            self._jobs.append(job)
            self._start()
        return True

    @property
    def idle(self) -> bool:
        """True when there is nothing left to do."""
        return self._thread is None

    def wait(self, timeout: float) -> bool:
        """Wait until there is nothing left to do; tell whether that is so."""
        end = time.monotonic() + timeout
        while (thread := self._thread) is not None:
            thread.join(max(0.0, end - time.monotonic()))
            if thread.is_alive():
                return False
            if self._thread is thread:  # died without a word
                break
        return True

    def stop(self, timeout: float) -> None:
        """End the thread after the step it is at. Jobs that look at `stopping` end early."""
        self.stopping = True
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def pause(self) -> None:
        """End the thread now; `resume` goes on."""
        self.stop(_EXIT_SECONDS)
        self.stopping = False

    # ------------------------------------------------------------------------- in the thread

    def _next(self) -> bool:
        """Do one piece of work; False when there is none left."""
        index = self._index()
        if index is None or self.stopping:
            self._thread = None
            return False
        job: Callable[[], Any] | None = None
        partition: Partition | None = None
        with index._lock:
            if self._jobs:
                job = self._jobs.popleft()
            else:
                partition = next(iter(self._todo.values()), None)
                if partition is None and not self._busy:
                    self._thread = None
                    return False
        if job is not None:
            try:
                self._job = job
                job()
            except Stopped:
                self._jobs.appendleft(job)
            except Exception:
                logger.exception("work on an index in the background has failed")
            finally:
                self._job = None
        elif partition is not None:
            if not self._busy:
                self._busy, self._report = True, time.monotonic() + _REPORT_SECONDS
            elif time.monotonic() > self._report:
                self._report = time.monotonic() + _REPORT_SECONDS
                self._tell()
            try:
                spent = self._step(index, partition)
            except Exception:
                # The scan answers as before; graphs are not tried again in this process.
                logger.warning("an HNSW graph could not be built, vectors are scanned instead", exc_info=True)
                self.abandon()
                spent = 0.0
            time.sleep(min(0.002, spent / 4))  # leave others the processor, too
        else:
            self._busy = False
            self._tell()
        return True

    def _tell(self) -> None:
        if self.progressed is not None:
            self.progressed()

    def abandon(self, *, for_good: bool = True) -> None:
        """Go back to scanning everywhere; with `for_good` False, graphs may be built again."""
        index = self._index()
        if index is not None:
            with index._lock:
                if for_good:
                    self.graph_rows = None
                self._todo.clear()
                for partition in index._partitions.values():
                    partition.drop_graph()

    _rows = 4

    def _step(self, index: VectorIndex, partition: Partition) -> float:
        with index._lock:
            if self.graph_rows is None or not index.is_current(partition):
                self._todo.pop(partition.number, None)
                return 0.0
            graph = partition.graph
            if graph is not None and (
                partition.count < self.graph_rows // 2 or graph.tombstones > max(_TOMBSTONES, partition.indexed)
            ):
                partition.drop_graph()
                graph = None
            if graph is None and partition.count < self.graph_rows:
                self._todo.pop(partition.number, None)
                return 0.0
        if graph is None:
            graph = Graph(partition.dimension)  # loads usearch the first time
            with index._lock:
                if partition.graph is not None:
                    return 0.0
                partition.graph = graph
        with index._lock:
            if partition.graph is not graph or not index.is_current(partition):
                return 0.0
            first = partition.indexed
            # What has gone goes first: the same id may stand among the rows to add.
            count = 0 if graph.gone else min(self._rows, partition.count - first)
            gone = [graph.gone.popleft() for _ in range(min(_MOST_ROWS, len(graph.gone)))]
            if not count and not gone:
                self._todo.pop(partition.number, None)
                return 0.0
            ids = partition.ids[first : first + count].tolist()
            rows = partition.rows(first, count) if count else partition.blocks[0][:0]
        spent = graph.change(gone, ids, rows)
        if count:
            index.take_in(partition, graph, ids, rows)
        if spent < _STEP_SECONDS / 2 and count == self._rows:
            self._rows = min(_MOST_ROWS, 2 * self._rows)
        elif spent > _STEP_SECONDS:
            self._rows = max(1, self._rows // 2)
        return spent


def _run(reference: weakref.ref[Indexer]) -> None:
    # On Linux a thread has a niceness of its own: those who answer go before those who prepare.
    with contextlib.suppress(OSError, AttributeError):
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICE)
    while True:
        indexer = reference()
        if indexer is None or not indexer._next():
            return
        del indexer


# ------------------------------------------------------------------------------ exit and fork

_indexers: weakref.WeakSet[Indexer] = weakref.WeakSet()


@atexit.register
def _at_exit() -> None:
    # A thread that is inside of usearch when the interpreter goes would take the process down with it.
    for indexer in list(_indexers):
        indexer.stopping = True
    for indexer in list(_indexers):
        indexer.stop(_EXIT_SECONDS)


def _after_fork_in_child() -> None:
    for indexer in list(_indexers):
        indexer._thread = None
        if indexer._job is not None:
            indexer._jobs.appendleft(indexer._job)
            indexer._job = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
