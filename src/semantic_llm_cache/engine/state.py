"""The state of a backend in this process, shared by all engines that use it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from time import monotonic
from typing import Any, Protocol, TypeVar, runtime_checkable

from semantic_llm_cache.calls.lookup import Lookup
from semantic_llm_cache.engine.flights import Flights
from semantic_llm_cache.engine.withdrawals import Withdrawals
from semantic_llm_cache.exceptions import EncryptionKeyError
from semantic_llm_cache.metrics import counters as counting
from semantic_llm_cache.metrics.counters import Counters
from semantic_llm_cache.redaction import describe
from semantic_llm_cache.runtime import background
from semantic_llm_cache.runtime.breaker import CircuitBreaker, logger
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.key_check import require_key
from semantic_llm_cache.storage.records import Text

__all__ = ["BackendState", "state_of"]

T = TypeVar("T")
_FLUSH_AFTER = 1.0
_ASK_FOR_KEY = 30.0
"""Seconds after which the storage is asked again whether another program has encrypted it."""
_MOST_HITS = 100_000
"""Number of entries whose hits are kept for another try when the storage fails."""
_MOST_NEAR = 1000
_MOST_NEAR_KEYS = 4096
_MOST_VECTORS = 1000
"""Number of vectors of texts that wait to be written; more are not shared."""
_LONGEST_NEAR = 8000  # characters of both prompts: the records of near hits take some 10 MB at most


@runtime_checkable
class _Joinable(Protocol):
    """A part of the state that holds calls in flight."""

    def withdraw(self, labels: frozenset[str]) -> None:
        """Let nobody join a call whose answer gets any of these labels."""


class BackendState:
    """Flights, breaker, and the counts not yet written, of one backend in this process."""

    def __init__(self, backend: StorageBackend) -> None:
        self._backend = weakref.ref(backend)
        self.flights = Flights()
        self.withdrawals = Withdrawals()
        # One for each kind of operation, so that a read-only file still serves hits.
        self.breakers = {
            kind: CircuitBreaker(f"{what} the cache's storage {backend.url}")
            for kind, what in (
                ("read", "reading"),
                ("search", "searching"),
                ("write", "writing to"),
                ("lease", "taking leases on"),
            )
        }
        self.hits: dict[str, int] = {}
        self.counters: weakref.WeakSet[Counters] = weakref.WeakSet()
        self._reads = [0, 0]  # of the engines: misses and hits, as the backend counts them
        self._requests = {"hits": 0.0, "misses": 0.0}  # of the engines, without what `counters` have still to hand over
        self._scheduled = False
        self._pending: StorageBackend | None = None
        self._flushing = 0
        self._owed: dict[str, dict[str, float]] = {}
        self._lock = threading.RLock()  # reentrant: the garbage collector may finalize an engine meanwhile
        self.identities: dict[str, weakref.ref[Any]] = {}
        self.last_access = 0.0
        self.policies: dict[str, Any] = {}
        self.searched = False
        self.encrypted_since = False
        """Another program has encrypted the storage, which this one has used in clear."""
        self._key_asked = monotonic()
        self._parts: dict[type, Any] = {}
        self._near: deque[Lookup] = deque(maxlen=_MOST_NEAR)
        self._near_keys: OrderedDict[str, None] = OrderedDict()
        self._changed_policies: set[str] = set()
        self._vectors: dict[Text, Any] = {}
        self._waiting: set[str] = set()  # changed, but not yet to be written while the cache is in use

    def part(self, kind: type[T]) -> T:
        """Return the backend's object of this type in this process; create it on first use."""
        found: T | None = self._parts.get(kind)
        if found is None:
            with self._lock:
                found = self._parts.setdefault(kind, kind())
        return found

    def is_taken(self, name: str, function: Any) -> bool:
        """Return whether another living function has this name; if not, `function` takes it."""
        known = self.identities.get(name)
        other = known() if known is not None else None
        if other is not None and other is not function:
            return True
        try:
            self.identities[name] = weakref.ref(function)
        except TypeError:
            pass
        return False

    def policy_changed(self, name: str, *, at_close: bool = False) -> None:
        """Schedule a write of what a policy has learned to the backend; `at_close`: only when the cache is closed."""
        if at_close:
            self._waiting.add(name)
            return
        self._waiting.discard(name)
        self._changed_policies.add(name)
        backend = self._backend()
        if backend is not None and not backend.in_process:
            self.schedule()

    def reset_after_fork(self) -> None:
        """Drop what belongs to the parent: its flights do not land here, and it writes its own hits."""
        self.flights = Flights()
        self.withdrawals = Withdrawals()
        self._parts = {}
        self.searched = False
        self._lock = threading.RLock()
        self._owed = {}
        self._flushing = 0
        self._pending = None
        for breaker in self.breakers.values():
            breaker.reset_after_fork()
        self.hits = {}
        self._scheduled = False
        self._changed_policies = set()
        self._vectors = {}
        self._waiting = set()
        for counters in list(self.counters):
            self._taken(counters)  # the parent writes them

    def note_hit(self, key: str, now: float) -> None:
        """Count a hit of an entry, to be written later."""
        self.hits[key] = self.hits.get(key, 0) + 1
        self.last_access = now
        self.schedule()

    def note_near(self, lookup: Lookup) -> None:
        """Keep the record of a near hit for a while: feedback by its id then learns as much as feedback by the record.

        Its answer is not kept.
        """
        keys = self._near_keys
        keys.pop(lookup.key, None)
        keys[lookup.key] = None
        if len(keys) > _MOST_NEAR_KEYS:
            keys.popitem(last=False)
        if len(lookup.prompt) + len(lookup.matched_prompt or "") > _LONGEST_NEAR:
            return
        self._near.append(lookup.without_response())

    def answered_near(self, key: str) -> bool:
        """Return whether a request with this key was last answered by meaning, as far as this process knows."""
        return key in self._near_keys

    def forget_near(self, key: str) -> None:
        """Note that there is an entry under a key now."""
        self._near_keys.pop(key, None)

    def near_hit(self, id: str) -> Lookup | None:
        """Return the record of a recent near hit by its id."""
        return next((lookup for lookup in list(self._near) if lookup.has_id(id)), None)

    def note_vector(self, text: Text, vector: Any) -> None:
        """Keep the vector of a text to be written later, for other processes."""
        if len(self._vectors) < _MOST_VECTORS:
            self._vectors[text] = vector
            self.schedule()

    def schedule(self) -> None:
        """Schedule a write of the counts."""
        if self._scheduled:
            return
        with self._lock:
            first, self._scheduled = not self._scheduled, True
        if first:
            self._pending = self._backend()  # kept alive until its counts are written
            _register_exit()
            try:
                background.call_later(_FLUSH_AFTER, self.flush)
            except RuntimeError as error:  # the interpreter is ending and starts no more threads
                logger.debug("semantic-llm-cache: counters will not be written: %s", describe(error))

    def note_read(self, hit: bool) -> None:
        """Count a read by an engine, which the backend has counted as its own."""
        self._reads[hit] += 1

    def tally(self, hits: int, misses: int) -> tuple[int, int]:
        """Return hits and misses as callers met them: see `Observer`."""
        with self._lock:
            now = dict(self._requests)
            for counters in list(self.counters):
                _add(now, {name: counters.pending(name) for name in now})
        return hits - self._reads[True] + int(now["hits"]), misses - self._reads[False] + int(now["misses"])

    def _taken(self, counters: Counters) -> dict[str, float]:
        """Return what `counters` has counted since the last time, and include it in the requests."""
        delta = counters.take_delta()
        for name in self._requests:
            self._requests[name] += delta.get(name, 0)
        return delta

    def owe(self, counters: Counters) -> None:
        """Record what `counters` has counted since the last time, to be written later."""
        with self._lock:
            delta = self._taken(counters)
            if delta:
                _add(self._owed.setdefault(counters.namespace, {}), delta)

    async def flush(self) -> None:
        """Write the collected counts. Never raises: counts are not worth an outage."""
        with self._lock:
            backend, self._pending = self._backend(), None
            self._scheduled = False
            if backend is None:
                return
            for counters in list(self.counters):
                self.owe(counters)
            hits, self.hits = self.hits, {}
            owed, self._owed = self._owed, {}
            vectors, self._vectors = self._vectors, {}
            self._flushing += 1
        try:
            if hits or owed or vectors or self._changed_policies:  # a closed storage is not opened for nothing
                await self._check_key(backend)
            if hits:
                await backend.record_hits(hits, self.last_access)
                hits = {}
            for namespace in list(owed):
                await backend.add_counters(namespace, owed[namespace])
                del owed[namespace]
            while self._changed_policies:
                name = self._changed_policies.pop()
                policy = self.policies.get(name)
                try:
                    if policy is not None:  # none where the embedder's name has changed in between
                        await backend.set_state(name, policy.to_bytes())
                except Exception:
                    self._changed_policies.add(name)
                    raise
            if vectors:  # last, and not tried again: they only save time
                await backend.keep_vectors(vectors)
        except Exception as error:
            logger.debug("semantic-llm-cache: counters were not written: %s", describe(error))
            with self._lock:  # keep them for the next try
                if len(self.hits) < _MOST_HITS:
                    for key, count in hits.items():
                        self.hits[key] = self.hits.get(key, 0) + count
                for namespace, delta in owed.items():
                    _add(self._owed.setdefault(namespace, {}), delta)
        finally:
            with self._lock:
                self._flushing -= 1

    async def _check_key(self, backend: StorageBackend) -> None:
        """Do `require_key`, and ask the storage again now and then. Raises EncryptionKeyError."""
        was_clear, now = backend.key_checked, monotonic()
        if was_clear and now - self._key_asked >= _ASK_FOR_KEY:
            self._key_asked, backend.key_checked = now, False
        try:
            await require_key(backend)
        except EncryptionKeyError:
            if was_clear and not self.encrypted_since:
                self.encrypted_since = True
                logger.warning(
                    "semantic-llm-cache: %s has been encrypted by another program, and this one has no key: calls go "
                    "on without it. Start this program again with the key",
                    backend.url,
                )
            raise

    async def flush_all(self) -> None:
        """Do a `flush`, with what waits for the cache to be closed."""
        while self._waiting:
            self._changed_policies.add(self._waiting.pop())
        await self.flush()

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Have `settle` wait for what is done in the background meanwhile."""
        with self._lock:
            self._flushing += 1
        try:
            yield
        finally:
            with self._lock:
                self._flushing -= 1

    async def settle(self) -> None:
        """Do a `flush_all` of what is pending, and wait for a flush or other work that is under way."""
        if self._scheduled or self._waiting:
            await self.flush_all()
        while self._flushing:  # noqa: ASYNC110 - once, at exit
            await asyncio.sleep(0.005)

    def withdraw(self, labels: Iterable[str]) -> None:
        """Note that the entries with any of these labels are being removed.

        Calls in flight may still read what has changed: nobody joins them any more, and they store nothing.
        """
        names = frozenset(labels)
        self.withdrawals.note(names)
        for part in (self.flights, *self._parts.values()):
            if isinstance(part, _Joinable):
                part.withdraw(names)

    def drop_pending(self) -> None:
        """Forget what waits to be written about entries that have been cleared: their hits, vectors of texts."""
        self.hits = {}
        self._vectors = {}


def _add(sums: dict[str, float], delta: dict[str, float]) -> None:
    for name, value in delta.items():
        sums[name] = sums.get(name, 0) + value


_lock = threading.Lock()
_states: weakref.WeakKeyDictionary[StorageBackend, BackendState] = weakref.WeakKeyDictionary()
_exit_registered = False


def state_of(backend: StorageBackend) -> BackendState:
    """Return the state of `backend` in this process."""
    state = _states.get(backend)
    if state is None:
        with _lock:
            state = _states.get(backend)
            if state is None:
                state = _states[backend] = BackendState(backend)
                with contextlib.suppress(AttributeError):  # a foreign class with slots
                    backend.observer = state
    return state


def _register_exit() -> None:
    # Registered after the backend's own exit handlers, so it runs before they close the backend.
    global _exit_registered
    if not _exit_registered:
        _exit_registered = True
        background.at_exit(_flush_all)


def _flush_all() -> None:
    """Write what is pending at exit, for half a second at most."""
    waiting = [state for state in list(_states.values()) if state._scheduled or state._flushing]
    if not waiting:
        return

    async def settle() -> None:
        await asyncio.wait([asyncio.create_task(state.settle()) for state in waiting], timeout=0.5)
        late = asyncio.all_tasks() - {asyncio.current_task()}
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=0.1)

    try:
        background.run(settle(), 1.0)
    except Exception as error:
        logger.debug("semantic-llm-cache: not flushed at exit: %s", describe(error))


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    counting.reset_after_fork()
    for state in list(_states.values()):
        state.reset_after_fork()


background.after_fork(_after_fork)
