"""Production of a stream: its source is read to the end, and stored.

On an event loop a task does that. The readers of a plain source do it themselves: each fetches the chunk it needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from contextvars import copy_context
from time import perf_counter
from typing import Any

from semantic_llm_cache.calls.refusals import because
from semantic_llm_cache.engine.driving import Do, Left, Steps, cancel_task, drive
from semantic_llm_cache.engine.outcome import Failure, Found
from semantic_llm_cache.engine.variables import changes_since
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.streams.broadcast import Broadcast, Reader, current_streams
from semantic_llm_cache.streams.call import StreamCall
from semantic_llm_cache.streams.steps import END, Close, Next, Pause, Source
from semantic_llm_cache.values.rebuilding import NoSuchType

__all__ = ["Production"]


class Production:
    """Produces one stream.

    Args:
        call: the call of its first reader.
        open: opens the function's own stream.
        replay_delay: seconds between the chunks of an answer that another process has stored.
    """

    def __init__(self, call: StreamCall, open: Callable[[], Any], replay_delay: float | None) -> None:
        self._call = call
        self._open = open
        self._delay = replay_delay
        self._pushed = _Pushed(broadcast := call.broadcast())
        self.broadcast = broadcast
        if broadcast.loop is None:
            broadcast.pull = _Pull(broadcast, self._steps(), self._over)
            broadcast.on_idle = self._close_plain

    def start(self) -> None:
        """Begin, if a task does the work; readers of a plain source begin it themselves."""
        loop = self.broadcast.loop
        if loop is None:
            return
        task = loop.create_task(self._alone())
        task.add_done_callback(self._ended)

        def cancel(_: Reader) -> None:
            self._call.call.found.release()
            cancel_task(task, loop)

        self.broadcast.on_idle = cancel

    def _ended(self, task: asyncio.Task[None]) -> None:
        # A task that is cancelled before its first step never gets to end its stream.
        self._over(asyncio.CancelledError())
        if not task.cancelled():
            task.exception()  # the readers get it, so asyncio need not report that nobody did

    def _close_plain(self, last: Reader) -> None:
        self._call.call.found.release()
        pull: _Pull | None = self.broadcast.pull
        if pull is None:  # another thread has just read it to its end
            return
        loop = None if last.plain else asyncio._get_running_loop()
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop's threads have ended
                loop.run_in_executor(None, pull.abandon)  # the source's clean-up may block
                return
        pull.abandon()

    async def _alone(self) -> None:
        current_streams.set((*current_streams.get(), self.broadcast))
        steps = self._steps()
        del self  # an exception of the source holds this frame
        await drive(steps)

    def _alive(self) -> bool | None:
        """Return whether the source is being read; None if it waits for its readers."""
        broadcast = self.broadcast
        if broadcast.settled.done() or not broadcast.whole:  # a stream that is not stored cannot answer others
            return False
        if broadcast.loop is not None:
            return broadcast.loop.is_running()
        pull: _Pull | None = broadcast.pull
        # Without it the stream has ended, and is being stored.
        return pull is None or pull.is_active(self._call.engine.backend.lease_seconds) or None

    # ------------------------------------------------------------------------------ the steps

    def _steps(self) -> Steps:
        """Read the source to its end, even if readers leave, and store it.

        If another process is reading the same stream, the answer which that one stores is given instead.
        """
        call, broadcast = self._call, self.broadcast
        before = copy_context()
        try:
            began = perf_counter()
            try:
                answer = broadcast.instead = yield Do(lambda: call.claim(self._alive))
                began = perf_counter()
                error = yield from (self._called() if answer is None else self._replay(answer))
                if error is None and broadcast.gone and broadcast.loop is not None:
                    # The source was told to stop and ended as if it were complete: it may not be.
                    error = asyncio.CancelledError("all readers have left")
            except Exception as trouble:
                error = trouble
            except Left:
                broadcast.stop()
                self._over(None)
                raise
            except BaseException as leaving:
                self._over(leaving)
                raise
            call.call.changes = changes_since(before)
            if error is not None:
                yield from self._failed(error)
                return Failure(error) if not isinstance(error, Exception) else None
            took = (perf_counter() - began) * 1000
            # Readers may finish while the entry is being written; new callers still join this stream until then.
            broadcast.end()
            if answer is None:
                yield from self._store(took)
            else:
                call.streams.close(call.key, broadcast)
        finally:
            call.call.found.release()

    def _failed(self, error: BaseException) -> Steps:
        """End the stream with a stale answer if that is allowed, or else with the error."""
        call, broadcast, given = self._call, self.broadcast, False
        try:
            if call.may_stand_in(broadcast, error):
                given = yield Do(lambda: call.stand_in(broadcast, error))
        finally:
            self._over(None if given else error)

    def _called(self) -> Steps:
        """Do `_read`, and record it as a phase of the first reader's call."""
        watch = self._call.call.watch
        if watch is None:
            return (yield from self._read())
        with watch.calling() as calling:
            calling.error = yield from self._read()
            return calling.error

    def _read(self) -> Steps:
        """Read the source; return what it raised."""
        source = Source(self._open)
        if self.broadcast.gone:
            return Left()
        following = Next(source)
        try:
            while True:
                chunk = yield following
                if chunk is END:
                    return None
                if type(chunk) is Failure:
                    return chunk.error
                if self._push(chunk):
                    return None
                yield self._pushed
        finally:
            yield Close(source)

    def _replay(self, answer: Found) -> Steps:
        for i, chunk in enumerate(answer.value):
            if i and self._delay:
                yield Pause(self._delay)
            if self._push(chunk):
                break
            yield self._pushed

    def _push(self, chunk: Any) -> bool:
        """Hand a chunk to the readers; True when it is the last."""
        self.broadcast.over = self._call.ends(chunk)
        self.broadcast.push(chunk)
        return self.broadcast.over

    def _over(self, error: BaseException | None) -> None:
        """End a stream that is not stored. Does nothing if it has ended."""
        self._call.streams.close(self._call.key, self.broadcast)
        self.broadcast.end(error)

    def _store(self, took: float) -> Steps:
        call, broadcast = self._call, self.broadcast
        stored, trouble = False, None
        try:
            stored = yield Do(lambda: call.store(broadcast, took))
        except Exception as error:
            if call.engine.on_error == "raise":
                trouble = error  # the first reader raises it
            elif isinstance(error, NoSuchType):
                call.engine.admission.warn_unstorable(error, call.call.settings)
            else:
                broadcast.refused = because("backend", describe(error))
                call.engine.log_once("stream", f"a stream was not stored: {describe(error)}")
        finally:
            call.streams.close(call.key, broadcast, stored, trouble)


class _Pushed:
    """Called after a chunk was handed on. A task lets others run, and waits for slow readers."""

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast
        self._count = 0

    async def awaited(self) -> None:
        # A source may have many chunks ready at once. Let readers take the first ones before the last is read.
        self._count += 1
        if self._count <= 4 or self._count % 8 == 0:
            await asyncio.sleep(0)
        if self._broadcast.crowded:
            await self._room()

    async def _room(self) -> None:
        loop, room = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(room.set)

        while self._broadcast.full(wake):
            await room.wait()
            room.clear()

    def blocking(self) -> None:
        """Readers of a plain source fetch no more than they need."""


class _Pull:
    """The steps of a production that its readers carry out: each fetches the chunk it lacks.

    Whoever fetches, the source runs with the context variables of the caller who opened it.
    """

    def __init__(self, broadcast: Broadcast, steps: Steps, over: Callable[[BaseException], None]) -> None:
        self._broadcast = broadcast
        self._steps = steps
        self._over = over
        self._lock = threading.Lock()
        self._last = perf_counter()
        self._context = copy_context()
        self._context.run(current_streams.set, (*current_streams.get(), broadcast))

    def is_active(self, seconds: float) -> bool:
        """Return whether a reader is fetching a chunk, or was recently."""
        return self._lock.locked() or perf_counter() - self._last < seconds

    def next(self, reader: Reader) -> None:
        """Fetch one chunk, unless another reader has meanwhile fetched one."""
        with self._lock:
            if not self._broadcast.done and not self._broadcast.ahead(reader):
                self._broadcast.fetching = reader
                self._context.run(self._advance)
            self._last = perf_counter()
        if self._broadcast.gone:
            self.abandon()

    def abandon(self) -> None:
        """Called when all readers have left before the end: nothing is stored."""
        # If another thread is fetching a chunk, that thread does this afterwards.
        if self._lock.acquire(blocking=False):
            try:
                if not self._broadcast.done:
                    self._context.run(self._advance, Left())
                    self._over(Left())  # for steps that had not begun
            finally:
                self._lock.release()

    def _advance(self, leaving: BaseException | None = None) -> None:
        """Run the steps until a chunk has been handed on, or to their end."""
        go: Any = self._steps.send if leaving is None else self._steps.throw
        given: Any = leaving
        try:
            while True:
                try:
                    step = go(given)
                except (StopIteration, Left):
                    return
                except BaseException as error:
                    if self._broadcast.error is not error:  # its readers raise it
                        raise
                    return
                if type(step) is _Pushed:
                    return
                try:
                    given, go = step.blocking(), self._steps.send
                except BaseException as error:
                    given, go = error, self._steps.throw
        finally:
            del given, go, leaving  # see `drive`
            step = None
