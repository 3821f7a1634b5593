"""`CallableEmbeddingProvider`: any function from text to vector as an embedder."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import os
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from semantic_llm_cache.redaction import describe
from semantic_llm_cache.similarity.base import EmbeddingProvider, Vector, VectorError, check_texts, unit
from semantic_llm_cache.similarity.batching import EncodeBatcher
from semantic_llm_cache.similarity.forking import reset_in_child

__all__ = ["CallableEmbeddingProvider"]

_BATCH_NAMES = frozenset(
    ("batch", "docs", "documents", "inputs", "items", "passages", "prompts", "queries", "sentences", "texts")
)
_BATCH_TYPES = frozenset(("list", "sequence", "iterable", "collection", "tuple"))
_CONCURRENT = 8
"""Most concurrent calls of an asynchronous single-text function in one `aencode_batch`."""


class CallableEmbeddingProvider(EmbeddingProvider):
    """Embeddings from your own function, synchronous or asynchronous, for one text or a list.

    Whether it takes one text or a list is read from its first parameter: an annotation decides (`str`
    against `list[str]`, `Sequence[str]` and the like), else a name such as `texts`, `sentences`,
    `documents` or `inputs` means a list; anything else means one text. `batch=` sets it explicitly.
    It returns one vector, or one for each text: floats, arrays, anything numpy accepts. They are
    scaled to length 1.

    A synchronous function is called off the event loop, in the provider's own thread, one call at a
    time; `encode` calls it in the calling thread. An asynchronous one is awaited on the caller's loop; from
    `encode` it runs on a loop in a background thread.

    Args:
        func: the function.
        fingerprint: identifies how the vectors are made: change it when they change. The default is the
            function's module and qualified name, which stays the same when its body or what a closure
            holds changes, and is shared by all lambdas of one function: name those yourself.
        batch: True when `func` takes a list of texts, False when one; None reads it off `func`.

    Raises:
        TypeError: `func` is not callable or takes no argument.

    Example:
        >>> provider = CallableEmbeddingProvider(lambda text: [len(text), 1.0], fingerprint="length")
        >>> [round(float(x), 3) for x in provider.encode("abc")]
        [0.949, 0.316]
    """

    def __init__(
        self,
        func: Callable[..., Any],
        *,
        fingerprint: str | None = None,
        batch: bool | None = None,
    ) -> None:
        if not callable(func):
            raise TypeError(f"func={func!r} must be a function from text to vector")
        if fingerprint is not None and (not isinstance(fingerprint, str) or not fingerprint):
            raise ValueError(f"fingerprint={fingerprint!r} must be a non-empty string")
        self._func = func
        self._name = _qualified_name(func)
        self._fingerprint = fingerprint or f"callable:{self._name}"
        self._batch = _takes_list(func) if batch is None else batch
        self._async = _is_async(func)
        self._dimension: int | None = None
        self._batcher = EncodeBatcher(self._encode_distinct, name="semantic-llm-cache-callable")
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Drop the parent's lock and loop."""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def fingerprint(self) -> str:
        """Return the given fingerprint, else one made from the function's name."""
        return self._fingerprint

    def encode_batch(self, texts: Iterable[str]) -> Vector:
        """Return the unit vectors of `texts`, shape (len(texts), dimension), float32. Blocks.

        Raises:
            ValueError: the function returned no vector, or one that is zero, not finite, or of another
                dimension than before. Its own exceptions pass through.
        """
        texts = check_texts(texts)
        if not texts:
            return np.empty((0, self._dimension or 0), dtype=np.float32)
        return self._encode_distinct(texts)

    def _encode_distinct(self, texts: list[str]) -> Vector:
        if self._batch:
            return self._rows(self._resolve(self._func(list(texts))), len(texts))
        return self._rows([self._single(self._resolve(self._func(text))) for text in texts], len(texts))

    async def aencode(self, text: str | Iterable[str]) -> Vector:
        """Run `encode` without blocking the event loop."""
        if not isinstance(text, str):
            return await self.aencode_batch(check_texts(text))
        (text,) = check_texts([text])
        if not self._async:
            return await self._batcher.submit(text)
        rows = await self._await([text])
        vector: Vector = rows[0]
        return vector

    async def aencode_batch(self, texts: Iterable[str]) -> Vector:
        """Run `encode_batch` without blocking the event loop."""
        texts = check_texts(texts)
        if not texts:
            return np.empty((0, self._dimension or 0), dtype=np.float32)
        return await (self._await(texts) if self._async else self._batcher.submit_many(texts))

    async def _await(self, texts: list[str]) -> Vector:
        if self._batch:
            return self._rows(await self._func(list(texts)), len(texts))
        vectors: list[Any] = []
        for start in range(0, len(texts), _CONCURRENT):
            part = texts[start : start + _CONCURRENT]
            vectors += await asyncio.gather(*(self._func(text) for text in part))
        return self._rows([self._single(vector) for vector in vectors], len(texts))

    def _resolve(self, result: Any) -> Any:
        """Return the result of `func`, run first if it is a coroutine. Blocks."""
        if not inspect.isawaitable(result):
            return result
        self._async = True  # a lambda around an asynchronous function: this shows only now
        with self._lock:
            # One loop for all calls: a client that the function keeps is bound to one loop.
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(
                    target=_run, args=(self._loop,), name="semantic-llm-cache-callable-loop", daemon=True
                ).start()
                weakref.finalize(self, _stop, self._loop, os.getpid())
            loop = self._loop
        return asyncio.run_coroutine_threadsafe(_awaited(result), loop).result()

    def _single(self, vector: Any) -> Any:
        try:
            array: Vector = np.asarray(vector, dtype=np.float32)
        except (TypeError, ValueError):
            return vector  # `_rows` raises the error
        one_row = array.ndim == 2 and array.shape[0] == 1
        return array[0] if one_row else array

    def _rows(self, vectors: Any, count: int) -> Vector:
        try:
            rows = [unit(vector, "its embedding") for vector in vectors]
        except (TypeError, ValueError) as error:
            raise VectorError(f"the embedder {self._name}: {describe(error)}{self._hint}") from error
        if len(rows) != count:
            raise VectorError(f"the embedder {self._name}: {len(rows)} vectors for {count} texts{self._hint}")
        dimension = self._dimension or len(rows[0])
        for row in rows:
            if len(row) != dimension:
                raise VectorError(
                    f"the embedder {self._name}: a vector of {len(row)} dimensions after one of {dimension}"
                )
        self._dimension = dimension
        return np.stack(rows)

    @property
    def _hint(self) -> str:
        taken = "a list of texts" if self._batch else "one text"
        other = f"CallableEmbeddingProvider(func, batch={not self._batch})"
        return f" (it was called with {taken}; {other} changes that)"

    async def close(self) -> None:
        """End the threads. May be used again."""
        self._batcher.close()
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            _stop(loop, os.getpid())


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


def _stop(loop: asyncio.AbstractEventLoop, pid: int) -> None:
    # In a forked child the loop's wake-up socket is still the parent's.
    if pid == os.getpid():
        with contextlib.suppress(RuntimeError):  # already closed
            loop.call_soon_threadsafe(loop.stop)


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


def _unwrap(func: Any) -> Any:
    while isinstance(func, functools.partial):
        func = func.func
    return func


def _qualified_name(func: Any) -> str:
    func = _unwrap(func)
    if not hasattr(func, "__qualname__"):
        func = type(func)
    return f"{func.__module__}.{func.__qualname__}"


def _is_async(func: Any) -> bool:
    func = _unwrap(func)
    return inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(type(func).__call__)


def _takes_list(func: Any) -> bool:
    try:
        parameters = list(inspect.signature(func).parameters.values())
    except ValueError:  # some built-in functions have none
        return False
    first = next((p for p in parameters if p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD)), None)
    if first is None:
        raise TypeError(f"func={func!r} must take a text, or a list of texts")
    if first.kind is first.VAR_POSITIONAL:
        return False
    if first.annotation is not first.empty:
        annotation = first.annotation
        written = annotation.__name__ if annotation in (str, list, tuple) else str(annotation)
        kind = written.split("[")[0].strip().rsplit(".", 1)[-1].lower()
        if kind in _BATCH_TYPES:
            return True
        if kind == "str":
            return False
    return first.name.lower() in _BATCH_NAMES
