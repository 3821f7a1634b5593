"""`EmbeddingCache`: keeps the vectors of recent texts."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from typing import Any

import numpy as np

from semantic_llm_cache.similarity.base import EmbeddingProvider, Vector, check_texts
from semantic_llm_cache.similarity.factory import check_available, resolve_embedder
from semantic_llm_cache.similarity.forking import reset_in_child
from semantic_llm_cache.similarity.unseen import Unseen

__all__ = ["EmbeddingCache", "shared_embedder"]

_VECTORS = "_semantic_llm_cache_vectors"
_vectors_lock = threading.Lock()


class _Abandoned(Exception):
    """The event loop that encoded a text for others ended before it finished."""


class EmbeddingCache(EmbeddingProvider):
    """An embedder that keeps the vectors of the last `cache_size` texts and drops the least recently used.

    Concurrent calls for one text, from any threads and event loops, encode it once. A failure reaches
    all who waited for it and is not kept. A text found here needs no thread and no wait. The vectors are
    read-only, since they are shared.

    Args:
        provider: the embedder to wrap, or anything that `resolve_embedder` accepts; None is "auto".
        cache_size: most texts kept, at least 1. Each takes dimension x 4 bytes plus its text.

    Raises:
        ValueError: cache_size below 1.
        EmbeddingUnavailableError: provider is None and no embedder can be used.

    Example:
        >>> cache = EmbeddingCache("dummy", cache_size=100)
        >>> cache.encode("hello") is cache.encode("hello")
        True
    """

    def __init__(
        self,
        provider: EmbeddingProvider | str | Callable[..., Any] | None = None,
        cache_size: int = 1024,
    ) -> None:
        if isinstance(cache_size, bool) or not isinstance(cache_size, int) or cache_size < 1:
            raise ValueError(f"cache_size={cache_size!r} must be a whole number of at least 1")
        self.provider: EmbeddingProvider = resolve_embedder("auto" if provider is None else provider)
        self.cache_size = cache_size
        self._kept: OrderedDict[str, Vector] = OrderedDict()
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Drop the parent's lock and the texts that it was encoding."""
        self._lock = threading.Lock()
        self._flights: dict[str, Future[Vector]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of the wrapped embedder."""
        return self.provider.fingerprint

    @property
    def loaded(self) -> bool:
        """Return whether the wrapped embedder is loaded."""
        return self.provider.loaded

    def check(self) -> None:
        """See the same method of the wrapped embedder."""
        self.provider.check()

    def load(self) -> None:
        """See the same method of the wrapped embedder."""
        before = self.provider.fingerprint
        self.provider.load()
        if self.provider.fingerprint != before:  # 8 bits do not work here: vectors kept so far are of another model
            self.clear_cache()

    def readable(self, text: str) -> bool:
        """See the same method of the wrapped embedder."""
        return self.provider.readable(text)

    def unseen(self, text: str) -> Unseen:
        """See the same method of the wrapped embedder."""
        return self.provider.unseen(text)

    def __len__(self) -> int:
        return len(self._kept)

    def __bool__(self) -> bool:
        return True  # despite `__len__`: an empty cache is still an embedder

    def known(self, text: str) -> Vector | None:
        """Return the vector of a text if it is kept here, without waiting."""
        with self._lock:
            return self._lookup(text)

    def keep(self, text: str, vector: Vector) -> None:
        """Keep a vector that this embedder, or one with the same fingerprint, has made of a text elsewhere."""
        kept = np.array(vector, dtype=np.float32)
        kept.flags.writeable = False
        self._keep({text: kept})

    def clear_cache(self) -> None:
        """Drop all vectors. Texts that are being encoded are still kept when done."""
        with self._lock:
            self._kept.clear()

    def encode(self, text: str | Iterable[str]) -> Vector:
        """Return the unit vector of one text, shape (dimension,), float32, read-only. Blocks."""
        if not isinstance(text, str):
            return self.encode_batch(check_texts(text))
        (text,) = check_texts([text])
        return self._encode_all([text])[text]

    def encode_batch(self, texts: Iterable[str]) -> Vector:
        """Return the unit vectors of `texts`, shape (len(texts), dimension), float32, read-only. Blocks."""
        texts = check_texts(texts)
        if not texts:
            return self.provider.encode_batch(texts)
        return _stack(self._encode_all(texts), texts)

    async def aencode(self, text: str | Iterable[str]) -> Vector:
        """Run `encode` without blocking the event loop."""
        if not isinstance(text, str):
            return await self.aencode_batch(check_texts(text))
        (text,) = check_texts([text])
        with self._lock:
            vector = self._lookup(text)
        return vector if vector is not None else (await self._aencode_all([text]))[text]

    async def aencode_batch(self, texts: Iterable[str]) -> Vector:
        """Run `encode_batch` without blocking the event loop."""
        texts = check_texts(texts)
        if not texts:
            return await self.provider.aencode_batch(texts)
        return _stack(await self._aencode_all(texts), texts)

    async def close(self) -> None:
        """Close the wrapped embedder. The kept vectors stay."""
        await self.provider.close()

    def _lookup(self, text: str) -> Vector | None:
        vector = self._kept.get(text)
        if vector is not None:
            self._kept.move_to_end(text)
        return vector

    def _claim(
        self, texts: list[str], found: dict[str, Vector]
    ) -> tuple[dict[str, Future[Vector]], dict[str, Future[Vector]]]:
        """Sort the texts not in `found`: in flight elsewhere, and ours to encode, for which flights begin."""
        joined: dict[str, Future[Vector]] = {}
        ours: dict[str, Future[Vector]] = {}
        with self._lock:
            for text in dict.fromkeys(texts):
                if text in found:
                    continue
                vector = self._lookup(text)
                if vector is not None:
                    found[text] = vector
                elif text in self._flights:
                    joined[text] = self._flights[text]
                else:
                    flight: Future[Vector] = Future()
                    flight.set_running_or_notify_cancel()  # so that no waiter can cancel it for the others
                    self._flights[text] = ours[text] = flight
        return joined, ours

    def _land(self, ours: dict[str, Future[Vector]], vectors: Any) -> dict[str, Vector]:
        landed = {}
        for text, vector in zip(ours, vectors, strict=True):
            landed[text] = np.array(vector, dtype=np.float32)  # a copy: the row of a batch would keep it all
            landed[text].flags.writeable = False
        self._keep(landed)
        self._end(ours)
        for text, flight in ours.items():
            flight.set_result(landed[text])
        return landed

    def _fail(self, ours: dict[str, Future[Vector]], error: BaseException) -> None:
        self._end(ours)
        for flight in ours.values():
            if not flight.done():
                flight.set_exception(error if isinstance(error, Exception) else _Abandoned())

    def _end(self, ours: dict[str, Future[Vector]]) -> None:
        with self._lock:
            for text, flight in ours.items():
                if self._flights.get(text) is flight:
                    del self._flights[text]

    def _keep(self, landed: dict[str, Vector]) -> None:
        with self._lock:
            self._kept.update(landed)
            while len(self._kept) > self.cache_size:
                self._kept.popitem(last=False)

    def _encode_all(self, texts: list[str]) -> dict[str, Vector]:
        found: dict[str, Vector] = {}
        if _on_a_loop():
            # Blocking here for a flight of this same loop would never end.
            with self._lock:
                hits = {text: self._lookup(text) for text in texts}
            found = {text: vector for text, vector in hits.items() if vector is not None}
            missing = [text for text, vector in hits.items() if vector is None]
            if missing:
                found |= self._land({text: Future() for text in missing}, self.provider.encode_batch(missing))
            return found
        while True:
            joined, ours = self._claim(texts, found)
            if ours:
                try:
                    found |= self._land(ours, self.provider.encode_batch(list(ours)))
                except BaseException as error:
                    self._fail(ours, error)
                    raise
            for text, flight in joined.items():
                try:
                    found[text] = flight.result()
                except _Abandoned:
                    continue
            if all(text in found for text in texts):
                return found

    async def _aencode_all(self, texts: list[str]) -> dict[str, Vector]:
        found: dict[str, Vector] = {}
        while True:
            joined, ours = self._claim(texts, found)
            if ours:
                joined |= ours
                # A separate task, so that cancelling this caller does not affect those who joined it.
                task = asyncio.get_running_loop().create_task(self._fly(ours))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                task.add_done_callback(partial(self._settle, ours))
            for text, flight in joined.items():
                try:
                    found[text] = await asyncio.wrap_future(flight)
                except _Abandoned:
                    continue
            if all(text in found for text in texts):
                return found

    def _settle(self, ours: dict[str, Future[Vector]], task: asyncio.Task[None]) -> None:
        # A task cancelled before its first step has run none of its own code.
        self._fail(ours, _Abandoned())

    async def _fly(self, ours: dict[str, Future[Vector]]) -> None:
        texts = list(ours)
        try:
            if len(texts) == 1:
                self._land(ours, [await self.provider.aencode(texts[0])])
            else:
                self._land(ours, await self.provider.aencode_batch(texts))
        except Exception as error:
            self._fail(ours, error)


def _stack(found: dict[str, Vector], texts: list[str]) -> Vector:
    rows = np.stack([found[text] for text in texts])
    rows.flags.writeable = False
    return rows


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def shared_embedder(option: Any) -> Any:
    """Return the provider that `option` names, wrapped in its process-wide cache of vectors.

    Nothing is loaded.

    Raises:
        EmbeddingUnavailableError: the packages or files it needs are not there.
        TypeError, ValueError: `option` is not a valid provider, name or callable.
    """
    provider = check_available(option)
    if isinstance(provider, EmbeddingCache):
        return provider
    found = getattr(provider, _VECTORS, None)
    if found is None:
        with _vectors_lock:
            found = getattr(provider, _VECTORS, None)
            if found is None:
                found = EmbeddingCache(provider)
                try:
                    # Stored on the provider, so that both are freed together.
                    setattr(provider, _VECTORS, found)
                except AttributeError:  # a provider with __slots__: each engine gets its own cache
                    pass
    return found
