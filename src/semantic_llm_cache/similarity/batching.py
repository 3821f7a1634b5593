"""`EncodeBatcher`: combines concurrent calls into batches, in one thread, off the event loop."""

from __future__ import annotations

import asyncio
import atexit
import itertools
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from semantic_llm_cache.exceptions import EmbeddingUnavailableError
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.similarity.base import Vector
from semantic_llm_cache.similarity.forking import reset_in_child

__all__ = ["EncodeBatcher"]

_Outcome = tuple[Any, "BaseException | None"]  # (vector, None) or (None, error)

_LINGER = 30.0
"""Seconds that an idle worker waits before it ends, so that unused providers are freed."""


class _Job:
    """One text, and the futures that wait for its vector."""

    __slots__ = ("text", "waiters")

    def __init__(self, text: str) -> None:
        self.text = text
        self.waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[Any]]] = []


class EncodeBatcher:
    """Runs a blocking `encode` in its own thread, with all waiting texts as one batch.

    While one batch runs, further texts queue; when it ends, the worker takes up to `max_batch` of them at
    once. There is no delay to fill a batch: a single text starts at once. A text that is already queued
    or running is not encoded again. Waiters may be on any number of event loops; cancelling one does not
    affect the others, and a queued text that nobody waits for any more is dropped.

    Args:
        encode: takes a list of distinct texts, returns their vectors, shape (n, dimension). Blocks. After an
            error the texts are tried one by one, so that one bad text fails alone. `EmbeddingUnavailableError`
            concerns the provider and fails the whole batch.
        name: name of the thread.
        max_batch: most texts in one call of `encode`.
        max_queue: most texts waiting, not counting the running batch.
        on_exit: called at interpreter exit, to make a running `encode` return early.
        exit_grace: seconds that interpreter exit waits for a running `encode`. Native code that returns
            after the interpreter has gone aborts the process; pure Python needs no wait.

    Raises:
        ValueError: max_batch or max_queue below 1.

    Example:
        >>> batcher = EncodeBatcher(lambda texts: np.ones((len(texts), 3), dtype=np.float32))
        >>> asyncio.run(batcher.submit("hello")).shape
        (3,)
    """

    def __init__(
        self,
        encode: Callable[[list[str]], Vector],
        *,
        name: str = "embedder",
        max_batch: int = 32,
        max_queue: int = 1024,
        on_exit: Callable[[], None] | None = None,
        exit_grace: float = 0.0,
    ) -> None:
        for argument, value in (("max_batch", max_batch), ("max_queue", max_queue)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{argument}={value!r} must be a whole number of at least 1")
        self._encode = encode
        self._name = name
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._on_exit = on_exit
        self._exit_grace = exit_grace
        self.reset_after_fork()
        reset_in_child(self)
        _live.add(self)

    def reset_after_fork(self) -> None:
        """Drop the thread and the queue: in a forked child, the waiters belong to the parent's loops."""
        self._wakeup = threading.Condition(threading.Lock())
        self._queued: dict[str, _Job] = {}  # in order of arrival
        self._running: dict[str, _Job] = {}
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._retiring = False

    async def submit(self, text: str) -> Vector:
        """Return the vector of `text`, shape (dimension,).

        Raises:
            EmbeddingUnavailableError: `max_queue` texts are waiting already, or the interpreter is exiting.
        """
        vector: Vector = await self._enqueue(text, asyncio.get_running_loop())
        return vector

    async def submit_many(self, texts: Sequence[str]) -> Vector:
        """Return the vectors of `texts`, shape (len(texts), dimension).

        They enter the queue `max_batch` at a time, so that a long list neither fills the queue nor makes
        single texts wait for the whole list.

        Raises:
            EmbeddingUnavailableError: as for `submit`.
        """
        if not texts:
            return np.empty((0, 0), dtype=np.float32)
        loop = asyncio.get_running_loop()
        found: dict[str, Vector] = {}
        distinct = list(dict.fromkeys(texts))
        # At most half the queue, so that single texts find room next to a long list.
        step = max(1, min(self._max_batch, self._max_queue // 2))
        for start in range(0, len(distinct), step):
            chunk = distinct[start : start + step]
            futures: list[asyncio.Future[Vector]] = []
            try:
                futures.extend(self._enqueue(text, loop) for text in chunk)
                for text, future in zip(chunk, futures, strict=True):
                    found[text] = await future
            finally:
                for future in futures:
                    if not future.cancel() and not future.cancelled():
                        future.exception()  # retrieved, so that asyncio does not warn
        return np.stack([found[text] for text in texts])

    def _enqueue(self, text: str, loop: asyncio.AbstractEventLoop) -> asyncio.Future[Vector]:
        future: asyncio.Future[Vector] = loop.create_future()
        with self._wakeup:
            if self._stopping:
                raise EmbeddingUnavailableError("no more embeddings: the interpreter is shutting down")
            job = self._running.get(text) or self._queued.get(text)
            if job is None:
                if len(self._queued) >= self._max_queue:
                    self._drop_abandoned()
                if len(self._queued) >= self._max_queue:
                    raise EmbeddingUnavailableError(
                        f"the embedder is overloaded: {self._max_queue} texts are waiting for it"
                    )
                job = self._queued[text] = _Job(text)
            job.waiters.append((loop, future))
            if self._thread is None:
                self._thread = threading.Thread(target=_work, args=(self,), name=self._name, daemon=True)
                self._thread.start()
            else:
                self._wakeup.notify()
        return future

    def _drop_abandoned(self) -> None:
        for text in [t for t, job in self._queued.items() if all(f.cancelled() for _, f in job.waiters)]:
            del self._queued[text]

    def _take(self) -> list[str]:
        """Wait for work and return a batch; an empty batch ends the worker."""
        with self._wakeup:
            self._drop_abandoned()
            while self._stopping or not self._queued:
                if self._stopping or self._retiring or not (self._wakeup.wait(_LINGER) or self._queued):
                    self._retiring = False
                    self._thread = None
                    return []
                self._drop_abandoned()
            texts = list(itertools.islice(self._queued, self._max_batch))
            self._running = {text: self._queued.pop(text) for text in texts}
            return texts

    def _run(self, texts: list[str]) -> None:
        outcomes = self._outcomes(texts)
        with self._wakeup:
            jobs, self._running = self._running, {}
        # One callback per loop, not per waiter: waking a loop costs a system call.
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], _Outcome]]] = {}
        for text, outcome in zip(texts, outcomes, strict=True):
            for loop, future in jobs[text].waiters:
                by_loop.setdefault(loop, []).append((future, outcome))
        for loop, deliveries in by_loop.items():
            try:
                loop.call_soon_threadsafe(_deliver, deliveries)
            except RuntimeError:  # the loop is closed: nobody waits there any more
                continue

    def _outcomes(self, texts: list[str]) -> list[_Outcome]:
        try:
            vectors = self._encode(texts)
            if len(vectors) != len(texts):
                raise ValueError(f"{len(texts)} texts came back as {len(vectors)} vectors")
            return [(vector, None) for vector in vectors]
        except BaseException as error:
            of_texts = isinstance(error, Exception) and not isinstance(error, EmbeddingUnavailableError)
            if of_texts and len(texts) > 1:
                return [outcome for text in texts for outcome in self._outcomes([text])]
            if not isinstance(error, Exception) or isinstance(error, StopIteration):
                # SystemExit of a callback must not end a loop; a future refuses StopIteration.
                error = RuntimeError(f"encoding raised {describe(error)}")
            return [(None, error)] * len(texts)

    def close(self) -> None:
        """Let the worker end once its queue is empty. Does not wait. A later `submit` starts another."""
        with self._wakeup:
            self._retiring = self._thread is not None
            self._wakeup.notify_all()

    def _exit(self) -> None:
        with self._wakeup:
            self._stopping = True
            thread = self._thread
            self._wakeup.notify_all()
        if self._on_exit is not None:
            self._on_exit()
        if thread is not None and self._exit_grace:
            thread.join(timeout=self._exit_grace)


def _work(batcher: EncodeBatcher) -> None:
    wakeup = batcher._wakeup
    while texts := batcher._take():
        batcher._run(texts)
        if batcher._wakeup is not wakeup:  # forked from within `encode`
            return


def _deliver(deliveries: list[tuple[asyncio.Future[Any], _Outcome]]) -> None:
    for future, (vector, error) in deliveries:
        if future.done():  # cancelled meanwhile
            continue
        if error is None:
            future.set_result(vector)
        else:
            future.set_exception(error)


_live: weakref.WeakSet[EncodeBatcher] = weakref.WeakSet()


@atexit.register
def _exit_all() -> None:
    for batcher in list(_live):
        batcher._exit()
