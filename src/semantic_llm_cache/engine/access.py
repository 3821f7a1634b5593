"""Storage and embedder, behind timeouts and circuit breakers.

An engine uses both only through this module, which also enforces the rule that their failures do not reach the
caller unless ``on_error="raise"`` is set.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from semantic_llm_cache.config import CacheEntry
from semantic_llm_cache.engine.call import Call
from semantic_llm_cache.engine.notices import Notices
from semantic_llm_cache.engine.options import Options
from semantic_llm_cache.engine.outcome import Found, Outage, Unreadable
from semantic_llm_cache.engine.state import BackendState, state_of
from semantic_llm_cache.exceptions import (
    CacheBackendError,
    CacheSerializationError,
    EmbeddingUnavailableError,
    EncryptionKeyError,
)
from semantic_llm_cache.redaction import describe, looks_like_url, origin_of
from semantic_llm_cache.runtime import background
from semantic_llm_cache.runtime.awaiting import driven, limited
from semantic_llm_cache.runtime.breaker import CircuitBreaker
from semantic_llm_cache.similarity.base import unit
from semantic_llm_cache.storage.contract import StorageBackend
from semantic_llm_cache.storage.key_check import require_key
from semantic_llm_cache.storage.one_step import OneStep, takes_one_step
from semantic_llm_cache.storage.records import Candidate, Text
from semantic_llm_cache.storage.registry import default_in_use, get_default_backend
from semantic_llm_cache.values.offload import is_large, off_loop

__all__ = ["Access", "Storage", "entry_under"]

T = TypeVar("T")
_LOAD_TIMEOUT = 30.0
_REMEDY = "Check that it is reachable and healthy."


class Storage:
    """One backend, as one engine uses it."""

    __slots__ = ("_one_step", "_options", "backend", "state")

    def __init__(self, backend: StorageBackend, state: BackendState, options: Options) -> None:
        self.backend = backend
        self._one_step: OneStep | None = backend if takes_one_step(backend) else None
        self.state = state
        self._options = options

    async def run(self, operation: Callable[[], Awaitable[T]], kind: str = "read") -> T:
        """Run one operation with its timeout and its breaker.

        Args:
            operation: starts the operation.
            kind: names the breaker: ``"read"``, ``"search"``, ``"write"`` or ``"lease"``.

        Raises:
            Outage: it failed; with ``on_error="raise"`` CacheBackendError or CacheSerializationError.
            EncryptionKeyError: the storage is encrypted, and its key was not given.
        """
        backend, state, raising = self.backend, self.state, self._options.on_error == "raise"
        breaker = state.breakers[kind]
        if not breaker.allow():
            if raising:
                raise CacheBackendError(f"{backend.url} is failing; its circuit breaker is open")
            raise Outage("the storage is failing; its circuit breaker is open")
        try:
            if backend.in_process:
                result = await operation()
            else:
                started = operation() if backend.key_checked else self._first(operation)
                result = await limited(started, self._limit(kind))
        except EncryptionKeyError as error:
            if raising or not state.encrypted_since:
                raise  # a mistake in the set-up, no outage
            raise Outage("the storage has been encrypted by another program") from error  # this one goes on working
        except CacheSerializationError as error:
            if raising:
                raise
            raise Unreadable(str(error)) from error
        except Exception as error:
            breaker.failed(error, _REMEDY)
            if raising:
                if isinstance(error, CacheBackendError):
                    raise
                raise CacheBackendError(f"{backend.url} failed: {describe(error)}") from error
            raise Outage(f"storage failed: {describe(error)}") from error
        if kind == "search":
            state.searched = True
        breaker.succeeded()
        return result

    async def _first(self, operation: Callable[[], Awaitable[T]]) -> T:
        await require_key(self.backend)
        return await operation()

    def _limit(self, kind: str) -> float | None:
        limit, first = self._options.timeout, self.backend.first_search_seconds
        if limit is None or first is None or kind != "search" or self.state.searched:
            return limit
        return max(limit, first)  # the first search loads an index

    async def get(self, key: str) -> CacheEntry | None:
        """Return the entry under a key. Raises what `run` does."""
        entry = await self.run(lambda: entry_under(self.backend, key))
        self.state.note_read(entry is not None)
        return entry

    async def recall(self, key: str, text: Text, found: Found) -> CacheEntry | None:
        """Do `get`; where there is no entry, set `found.vector` if the storage knows the vector of the text."""
        entry, vector = await self.run(lambda: _recalled(self.backend, key, text))
        self.state.note_read(entry is not None)
        if entry is None and vector is not None:
            found.vector, found.embedder = vector, text.embedder
        return entry

    async def candidates(self, found: Found, threshold: float, k: int, scope: str) -> list[Candidate]:
        """Return the `k` entries of a scope nearest to the vector found. Raises what `run` does."""
        backend, vector, embedder = self.backend, found.vector, found.embedder
        candidates = await self.run(
            lambda: _candidates(backend, vector, threshold, k=k, scope=scope, embedder=embedder), "search"
        )
        self.state.note_read(bool(candidates))
        return candidates

    def expects_near(self, key: str) -> bool:
        """Return whether looking by key and by vector in one step saves time: the key is likely not there."""
        state = self.state
        return (
            self._one_step is not None
            and state.searched
            and state.answered_near(key)
            and not (state.breakers["read"].open or state.breakers["search"].open)
        )

    async def get_or_find(
        self, key: str, vector: Any, scope: str, embedder: str
    ) -> tuple[CacheEntry | None, list[Candidate]]:
        """Return the entry under a key, else the nearest entry of a scope. Raises what `run` does."""
        backend = self._one_step
        assert backend is not None
        entry, found = await self.run(
            lambda: backend.get_or_find(key, vector, 0.0, k=1, scope=scope, embedder=embedder), "search"
        )
        self.state.note_read(entry is not None)
        if entry is None:
            self.state.note_read(bool(found))
        else:
            self.state.forget_near(key)
        return entry, found

    async def put(self, key: str, entry: CacheEntry) -> None:
        """Write an entry. Raises what `run` does."""
        await self.run(lambda: self.backend.set(key, entry), "write")

    async def holds(self, key: str, created_at: float) -> bool:
        """Return whether the entry that was stored at this time is still there. Not counted. Raises what `run` does."""
        (entry,) = await self.run(lambda: self.backend.get_many([key], touch=False))
        return entry is not None and entry.created_at == created_at

    async def delete_stored(self, key: str, created_at: float) -> bool:
        """Delete the entry that was stored at this time; True when there was one. Raises what `run` does."""
        return await self.run(lambda: self.backend.delete_stored(key, created_at), "write")

    async def delete(self, key: str) -> bool:
        """Delete an entry; True when there was one. Raises what `run` does."""
        return await self.run(lambda: self.backend.delete(key), "write")


class Access:
    """The backend and the embedder of one engine."""

    def __init__(self, options: Options, notices: Notices) -> None:
        self._options = options
        self._notices = notices
        self.clock: Callable[[], float] = options.clock or time.time
        self.given = options.backend
        self._embedder: Any = None
        self._default: Any = None  # the process's default embedder when "auto" was resolved
        self._embedded_with: Callable[[], Any] = lambda: None
        self._storage: Storage | None = None
        if self.given is not None:
            self._bind_clock(self.given)

    # ------------------------------------------------------------------------------ storage

    @property
    def backend(self) -> StorageBackend:
        """The backend in use: the one given, else the current default of the process."""
        return self.given if self.given is not None else get_default_backend()

    def storage(self) -> Storage:
        """Return the storage in use: the default one may change at any time."""
        backend, storage = self.backend, self._storage
        if storage is None or storage.backend is not backend:
            self._bind_clock(backend)
            storage = self._storage = Storage(backend, state_of(backend), self._options)
        return storage

    def bound(self) -> tuple[StorageBackend, BackendState]:
        """Return the backend in use and its state in this process."""
        storage = self.storage()
        return storage.backend, storage.state

    def outages(self) -> dict[str, bool]:
        """Return of each kind of operation whether its breaker is open: ``"embed"`` once a text has been embedded."""
        found = {kind: breaker.open for kind, breaker in self.storage().state.breakers.items()}
        embedder = self._embedded_with()
        if embedder is not None:
            breaker = _breakers.get(embedder)
            found["embed"] = breaker is not None and breaker.open
        return found

    def described(self, similarity: float) -> str:
        """Return backend, threshold, embedder and namespace as text without secrets. Never raises."""
        options = self._options
        backend = self.given if self.given is not None else default_in_use()
        parts = ["the default backend" if backend is None else backend.url, f"similarity={similarity:g}"]
        if similarity < 1 or options.embedder is not None:
            parts.append(f"embedder={_embedder_named(options.embedder)}")
        if options.namespace != "default":
            parts.append(f"namespace={options.namespace!r}")
        if options.mode != "serve":
            parts.append(f"mode={options.mode!r}")
        if not options.enabled:
            parts.append("enabled=False")
        return ", ".join(parts)

    def _bind_clock(self, backend: StorageBackend) -> None:
        if self._options.clock is not None:
            backend.clock = self.clock

    # ------------------------------------------------------------------------------ embedder

    def need_embedder(self) -> Any:
        """Return the embedder, found but not loaded. Raises EmbeddingUnavailableError."""
        from semantic_llm_cache.similarity.cache import shared_embedder
        from semantic_llm_cache.similarity.factory import get_default_embedder

        option = self._options.embedder
        if option is None or option == "auto":
            default = get_default_embedder()  # what "auto" means may change: set_default_embedder
            if self._embedder is None or self._default is not default:
                self._embedder, self._default = shared_embedder("auto"), default
        elif self._embedder is None:
            self._embedder = shared_embedder(option)
        return self._embedder

    def unknown_text(self, call: Call) -> Text | None:
        """Return the text of a call if the storage should be asked for its vector: this process does not know it."""
        if not call.needs_vector:
            return None
        try:
            embedder = self.need_embedder()
            if embedder.known(call.request.text) is not None:
                return None
            request = call.request
            return Text(request.namespace, request.scope_hash, embedder.fingerprint, request.text)
        except Exception:  # `embed` meets the same, and reports it
            return None

    def known_vector(self, call: Call) -> tuple[Any, str] | None:
        """Return the unit vector of a call's text and the embedder's name, if this process knows the vector."""
        try:
            embedder = self.need_embedder()
            known = embedder.known(call.request.text)
            return None if known is None else (unit(known), embedder.fingerprint)
        except Exception:  # `embed` meets the same, and reports it
            return None

    def reuse(self, entry: CacheEntry | None, call: Call) -> None:
        """Take the vector of an entry that cannot be served, if the embedder in use made it of the text of the call."""
        if entry is None or entry.embedding is None or not call.needs_vector or call.found.vector is not None:
            return
        try:
            fingerprint = self.need_embedder().fingerprint
        except Exception:  # `embed` meets the same, and reports it
            return
        if entry.prompt == call.request.text and entry.embedder == fingerprint:
            call.found.vector, call.found.embedder = unit(entry.embedding), fingerprint

    async def embed_request(self, call: Call) -> None:
        """Do `embed` for a call, and share the vector with other processes if the call may store anything."""
        found, text = call.found, call.request.text
        known = found.vector
        if known is not None:  # the storage knew it
            self.need_embedder().keep(text, known)
            return
        backend, state = self.bound()
        shares = backend.vector_seconds > 0 and call.settings.asks.may_store
        new = self.unknown_text(call) if shares else None
        await self.embed(text, found)
        if new is not None and found.vector is not None and new.embedder == found.embedder:
            state.note_vector(new, found.vector)

    async def embed(self, text: str, found: Found) -> None:
        """Set `found.vector`; leave it None, with a reason, for text longer than the model reads.

        Raises:
            Outage: there is no vector; with ``on_error="raise"`` EmbeddingUnavailableError.
        """
        name, logged = "cannot be used", False
        try:
            embedder = self.need_embedder()
            name = embedder.fingerprint
            self._embedded_with = weakref.ref(embedder)
            if not embedder.loaded:
                # Loading a model takes seconds, once. It delays the calls that need it but does not trip the breaker.
                await limited(asyncio.to_thread(embedder.load), _LOAD_TIMEOUT)
            name = embedder.fingerprint  # loading may settle it: where 8 bits do not work, fp32 is used
            if not await _readable(embedder, text):
                from semantic_llm_cache.similarity.unseen import why_unreadable

                found.reason = why_unreadable(text)
                return
            known = embedder.known(text)
            if known is not None:
                found.vector, found.embedder = unit(known), name
                return
            breaker = _breaker_of(embedder)
            if not breaker.allow():
                raise Outage("the embedder is failing; its circuit breaker is open")
            try:
                vector = await limited(embedder.aencode(text), self._options.timeout)
                # Checked here, so that a bad vector is not mistaken for a storage failure.
                found.vector = unit(vector)
            except Exception as error:
                breaker.failed(error, "Check the embedder, or set similarity=1.0 to do without.")
                logged = True
                raise
            breaker.succeeded()
            found.embedder = name
        except Outage:
            raise
        except Exception as error:
            if self._options.on_error == "raise":
                if isinstance(error, EmbeddingUnavailableError):
                    raise
                raise EmbeddingUnavailableError(f"the embedder {name} failed: {describe(error)}") from error
            if not logged:
                self._notices.log_once("embedder", f"no embedding ({describe(error)}); near matching is off meanwhile")
            raise Outage(f"no embedding: {describe(error)}") from error

    async def vectors(self, texts: Sequence[str]) -> Any:
        """Return the unit vectors of further texts, under the same limits. Raises Outage."""
        try:
            return await limited(self.need_embedder().aencode_batch(list(texts)), self._options.timeout)
        except Exception as error:
            raise Outage(f"no embedding: {describe(error)}") from error


def _embedder_named(embedder: Any) -> str:
    if embedder is None or isinstance(embedder, str):
        name = embedder or "auto"
        return repr(origin_of(name) if looks_like_url(name) else name)
    try:
        return repr(str(embedder.fingerprint))
    except Exception:  # a plain callable has none, and one of somebody else's may fail
        return getattr(embedder, "__qualname__", type(embedder).__qualname__)


async def _readable(embedder: Any, text: str) -> bool:
    if len(text) <= 1000:
        return bool(embedder.readable(text))
    return bool(await asyncio.to_thread(embedder.readable, text))


async def entry_under(backend: StorageBackend, key: str) -> CacheEntry | None:
    """Return the entry under a key, as the caller's own. A large one in memory is copied in a thread."""
    entry: Any = None
    if backend.in_process:
        entry = backend.peek(key)
    if entry is not None and is_large(entry.response):
        entry = await off_loop(driven, backend.get(key))  # which makes a copy
    else:
        entry = await backend.get(key)
    if entry is not None and not isinstance(entry, CacheEntry):
        raise TypeError(f"get() returned a {type(entry).__name__}, not a CacheEntry")
    return entry


async def _recalled(backend: StorageBackend, key: str, text: Text) -> tuple[CacheEntry | None, Any]:
    """Return the entry under a key as `entry_under` does, else the vector of a text if the backend knows it."""
    if backend.in_process and is_large(getattr(backend.peek(key), "response", None)):
        return await entry_under(backend, key), None
    entry, vector = await backend.recall(key, text)
    if entry is not None and not isinstance(entry, CacheEntry):
        raise TypeError(f"get() returned a {type(entry).__name__}, not a CacheEntry")
    return entry, None if vector is None or not _is_unit(vector) else vector


def _is_unit(vector: Any) -> bool:
    """Return whether a stored vector is what was written, as far as its length tells. A damaged one counts as none."""
    return bool(vector.ndim == 1 and abs(float(vector @ vector) - 1.0) < 1e-3)


async def _candidates(backend: StorageBackend, vector: Any, threshold: float, **limits: Any) -> list[Candidate]:
    found: Any = await backend.find_candidates(vector, threshold, **limits)
    fits = isinstance(found, list)
    for candidate in found if fits else ():
        fits = fits and isinstance(candidate, Candidate) and isinstance(candidate.entry, CacheEntry)
    if not fits:
        raise TypeError("find_candidates() returned something other than a list of Candidate")
    return found  # type: ignore[no-any-return]


_breakers: weakref.WeakKeyDictionary[Any, CircuitBreaker] = weakref.WeakKeyDictionary()
background.after_fork(_breakers.clear)  # a thread that does not exist in the child may hold a lock


def _breaker_of(embedder: Any) -> CircuitBreaker:
    breaker = _breakers.get(embedder)
    if breaker is None:
        breaker = _breakers.setdefault(embedder, CircuitBreaker(f"the embedder {embedder.fingerprint}"))
    return breaker
